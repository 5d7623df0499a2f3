package import NIOCore

/// The session cookie of a site, for requests by HTTPS and for others.
package struct SiteCookies: Sendable {
    private let underHTTPS: SessionCookie
    private let overHTTP: SessionCookie

    /// - Throws: where the settings have `problems`.
    package init(_ settings: CookieSettings) throws(CookieSettingsError) {
        let problems = settings.problems
        guard problems.isEmpty else { throw CookieSettingsError(problems: problems) }
        self.underHTTPS = SessionCookie(settings, underHTTPS: true)
        self.overHTTP = SessionCookie(settings, underHTTPS: settings.secure == .always)
    }

    /// - Parameter underHTTPS: whether the browser spoke HTTPS to the web server.
    package func cookie(underHTTPS: Bool) -> SessionCookie {
        underHTTPS ? self.underHTTPS : self.overHTTP
    }
}

/// The session cookie as one request sees it: reads it from `Cookie`, renders `Set-Cookie`.
package final class SessionCookie: Sendable {
    package let name: CookieName
    package let isSecure: Bool
    /// Seconds that a browser keeps it; 0 is until it closes.
    package let lifetime: Int

    let duplicates: CookieSettings.Duplicates
    let acceptsPHPIDs: Bool
    let nameBytes: [UInt8]
    let imitations: CookieImitations
    private let path: String
    /// What follows the value and its times.
    private let attributes: String

    fileprivate init(_ settings: CookieSettings, underHTTPS: Bool) {
        switch settings.name {
        case .fixed(let name): self.name = name
        case .auto where !underHTTPS: self.name = .plain
        case .auto: self.name = settings.path == "/" && settings.domain == nil ? .host : .secure
        }
        self.isSecure =
            self.name.requiresSecure || settings.secure == .always || (settings.secure == .auto && underHTTPS)
        self.lifetime = settings.lifetime
        self.duplicates = settings.duplicates
        self.acceptsPHPIDs = settings.acceptsPHPIDs
        self.nameBytes = Array(self.name.text.utf8)
        self.imitations = CookieImitations(of: self.name)
        self.path = settings.path

        var attributes = ""
        if let domain = settings.domain { attributes += "; Domain=\(domain)" }
        if self.isSecure { attributes += "; Secure" }
        if settings.isHTTPOnly { attributes += "; HttpOnly" }
        if settings.sameSite != .unset, settings.sameSite != .none || self.isSecure {
            attributes += "; SameSite=\(settings.sameSite.rawValue)"
        }
        self.attributes = attributes
    }

    /// The value of a Set-Cookie field that gives the browser this id. At most 4,096 bytes.
    ///
    /// `Expires` beside `Max-Age` is for what reads only the former.
    /// - Parameter now: seconds since 1970.
    package func setCookie(_ id: SessionID, now: Int64) -> ByteBuffer {
        var field = "\(self.name.text)=\(id.cookieValue); Path=\(self.path)"
        if self.lifetime > 0 {
            field += "; Max-Age=\(self.lifetime); Expires=\(HTTPDate.text(now + Int64(self.lifetime)))"
        }
        return ByteBuffer(string: field + self.attributes)
    }

    /// The value of a Set-Cookie field that makes the browser forget the cookie.
    package var removal: ByteBuffer {
        ByteBuffer(
            string: "\(self.name.text)=; Path=\(self.path); Max-Age=0; Expires=\(HTTPDate.text(0))\(self.attributes)"
        )
    }

    /// Whether a backend's Set-Cookie field means the session: by its name, in any spelling that browsers or parsers take
    /// for it, or by giving away one of this request's ids, with a prefix too.
    package func isMeant(bySetCookie field: ByteBufferView, id: SessionID?, nextID: SessionID?) -> Bool {
        field.withUnsafeBytes { bytes in
            let pair = bytes.firstIndex(of: UInt8(ascii: ";")).map { bytes[..<$0] } ?? bytes[...]
            let trimmed = UnsafeRawBufferPointer(rebasing: pair.trimmingBlanks())
            if self.owns(trimmed) || self.imitations.contain(trimmed) { return true }
            // A browser without a name to send sends the bare value: `=__Host-session` comes back as a name.
            let equals = trimmed.firstIndex(of: UInt8(ascii: "="))
            var value = (equals.map { trimmed[($0 + 1)...] } ?? trimmed[...]).trimmingBlanks()
            if value.count >= 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") {
                value = value.dropFirst().dropLast()
            }
            return [id, nextID].contains { id in
                guard let id else { return false }
                // PHP's session_create_id() puts a prefix before it.
                return value.ends(with: id.text.utf8)
                    || self.acceptsPHPIDs && value.ends(with: id.cookieValue.utf8)
            }
        }
    }

    /// Whether a trimmed pair has exactly the cookie's name.
    func owns(_ pair: UnsafeRawBufferPointer) -> Bool {
        let length = self.nameBytes.count
        guard pair.count > length, pair[length] == UInt8(ascii: "=") else { return false }
        return pair[..<length].elementsEqual(self.nameBytes)
    }
}

extension Slice<UnsafeRawBufferPointer> {
    fileprivate func ends(with text: String.UTF8View) -> Bool {
        self.suffix(text.count).elementsEqual(text)
    }

    /// Without surrounding SP and HTAB.
    func trimmingBlanks() -> Slice<UnsafeRawBufferPointer> {
        var slice = self
        while let first = slice.first, first == 0x20 || first == 0x09 { slice = slice.dropFirst() }
        while let last = slice.last, last == 0x20 || last == 0x09 { slice = slice.dropLast() }
        return slice
    }
}
