/// How a site's session cookie is called and what browsers may do with it.
package struct CookieSettings: Sendable, Hashable {
    package enum Name: Sendable, Hashable {
        /// `__Host-session` under HTTPS (`__Secure-session` where a domain or another path than `/` is set, since browsers
        /// would refuse the former), `session` over plain http and never under HTTPS.
        case auto
        case fixed(CookieName)
    }

    package enum Secure: String, Sendable, Hashable {
        /// Secure when the request came by HTTPS, or when the name demands it.
        case auto
        /// Every request counts as one by HTTPS: TLS ends elsewhere.
        case always
        case never
    }

    package enum SameSite: String, Sendable, Hashable {
        case lax = "Lax"
        case strict = "Strict"
        /// Browsers take it only together with Secure: left out of a cookie that is not.
        case none = "None"
        case unset
    }

    /// What holds when a request carries two different values under the cookie's name.
    package enum Duplicates: String, Sendable, Hashable {
        /// No session: it cannot be told which of them was planted.
        case none
        /// The first, as most parsers have it.
        case first
    }

    package var name: Name = .auto
    package var path = "/"
    package var domain: String?
    package var secure: Secure = .auto
    package var isHTTPOnly = true
    package var sameSite: SameSite = .lax
    /// Seconds that a browser keeps the cookie; 0 is until it closes.
    package var lifetime: Int = 0
    package var duplicates: Duplicates = .none
    /// Whether ids that PHP made are ids.
    package var acceptsPHPIDs = false

    package init() {}

    /// What browsers would refuse, and what could not be written as a header; empty where all is well.
    package var problems: [String] {
        var problems: [String] = []
        switch self.name {
        case .auto:
            if self.secure == .never {
                problems.append("the name 'auto' is secure under HTTPS: with 'secure: never' the cookie needs a name")
            }
        case .fixed(let name):
            if name.requiresSecure, self.secure == .never {
                problems.append("browsers refuse a cookie named \(name.text) that is not Secure")
            }
            if name.requiresHost, self.path != "/" {
                problems.append("browsers refuse a cookie named \(name.text) with another path than /")
            }
            if name.requiresHost, self.domain != nil {
                problems.append("browsers refuse a cookie named \(name.text) with a domain")
            }
            if name.requiresHTTPOnly, !self.isHTTPOnly {
                problems.append("browsers refuse a cookie named \(name.text) that is not HttpOnly")
            }
        }
        if self.sameSite == .none, self.secure == .never {
            problems.append("browsers refuse a cookie with SameSite=None that is not Secure")
        }
        if self.path.utf8.first != UInt8(ascii: "/") || !self.path.utf8.allSatisfy(Self.isPathByte) {
            problems.append("a cookie's path begins with / and has no control characters, no blank and no semicolon")
        }
        // Browsers ignore an attribute of more than 1,024 bytes (RFC 6265bis §5.6).
        if self.path.utf8.count > 1_024 {
            problems.append("a cookie's path has at most 1024 bytes")
        }
        if let domain = self.domain, !Self.isDomain(domain) {
            problems.append("a cookie's domain is a host name, for example example.com")
        }
        if !(0...(1 << 40)).contains(self.lifetime) {
            problems.append("a cookie's lifetime is 0 or a number of seconds")
        }
        return problems
    }

    private static func isPathByte(_ byte: UInt8) -> Bool {
        (0x21...0x7e).contains(byte) && byte != UInt8(ascii: ";")
    }

    private static func isDomain(_ domain: String) -> Bool {
        (1...253).contains(domain.utf8.count)
            && domain.split(separator: ".", omittingEmptySubsequences: false).enumerated().allSatisfy { index, label in
                // One leading dot is what old applications write; browsers drop it.
                if index == 0, label.isEmpty { return domain.utf8.count > 1 }
                return (1...63).contains(label.utf8.count)
                    && label.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                            true
                        default:
                            false
                        }
                    }
            }
    }
}

/// Settings that no browser would honour.
package struct CookieSettingsError: Error, Sendable, Equatable, CustomStringConvertible {
    package let problems: [String]
    package var description: String { self.problems.joined(separator: "; ") }
}
