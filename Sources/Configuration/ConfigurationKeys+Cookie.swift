extension GatewayConfiguration.Cookie: ConfigurationSection {
    static let keys: [ConfigurationKey<Self>] = [
        .init(
            "name",
            \.name,
            .cookieName,
            """
            `auto` is `__Host-session` under HTTPS, which no subdomain and no plain connection can set, and `session` \
            over plain HTTP.
            """
        ),
        .init("path", \.path, .cookiePath, "The cookie's Path."),
        .init(
            "domain",
            \.domain,
            ConfigurationForm<String>.cookieDomain.optional,
            fallback: "not sent: the host alone",
            "The cookie's Domain."
        ),
        .init(
            "secure",
            \.secure,
            .choice,
            """
            Whether the cookie goes over HTTPS only. `auto`: when nginx says `HTTPS=on`; `always` where TLS ends in \
            front of nginx.
            """
        ),
        .init("http_only", \.httpOnly, .boolean, "Keeps the cookie from scripts in the page."),
        .init("same_site", \.sameSite, .choice, "The cookie's SameSite; `unset` does not send it."),
        .init(
            "lifetime",
            \.lifetime,
            .duration(.zero ... .seconds(400 * 86_400)),
            "How long browsers keep the cookie; 0: until they are closed. Sent again when half of it is gone."
        ),
        .init(
            "duplicates",
            \.duplicates,
            .choice,
            """
            What two different values under the cookie's name mean: no session (`none`), or the first one (`first`).
            """
        ),
    ]
}
