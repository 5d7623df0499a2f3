extension GatewayConfiguration {
    package struct Cookie: Sendable, Equatable {
        package enum Name: Sendable, Equatable {
            /// `__Host-session` under HTTPS, `session` over plain HTTP and never under HTTPS.
            case automatic
            case fixed(String)
        }

        package enum Secure: String, Sendable, CaseIterable {
            /// When the parameter HTTPS is on.
            case automatic = "auto"
            case always
            case never
        }

        package enum SameSite: String, Sendable, CaseIterable {
            case lax, strict, none
            /// The attribute is not sent.
            case unset
        }

        package enum Duplicates: String, Sendable, CaseIterable {
            /// Two different values under the name are no session.
            case none
            case first
        }

        package var name: Name = .automatic
        package var path = "/"
        package var domain: String?
        package var secure: Secure = .automatic
        package var httpOnly = true
        package var sameSite: SameSite = .lax
        /// Zero: until the browser closes.
        package var lifetime: Duration = .zero
        package var duplicates: Duplicates = .none

        package init() {}
    }
}
