package import NIOCore

/// What a request's Cookie header says about the session, and what of the header the backend gets to see.
package struct CookieReading: Sendable, Equatable {
    package enum Session: Sendable, Equatable {
        case none
        /// The cookie's value is no session id.
        case malformed
        case accepted(SessionID)
        /// Two different values under the cookie's name.
        case conflicting
    }

    /// The header for the backend. It holds exactly the one accepted cookie or none, and nothing that a parser could take
    /// for another one.
    package enum BackendHeader: Sendable, Equatable {
        /// As it came.
        case unchanged
        case replaced(ByteBuffer)
        /// Nothing is left: there is no Cookie header.
        case removed
    }

    package var session: Session
    package var backendHeader: BackendHeader
}

extension SessionCookie {
    /// Reads the session from a Cookie header: repeated headers joined by `; ` beforehand.
    ///
    /// Strict (`guarantees.md` §1.2): split at `;`, trimmed of SP and HTAB, the name equal byte for byte, the value an id
    /// as it stands; nothing is decoded or unquoted.
    ///
    /// A header that is rewritten begins with the accepted cookie, then come the others as they were, in their order.
    /// - Parameter header: `nil` where the request has none.
    package func read(_ header: ByteBufferView?) -> CookieReading {
        guard let header, !header.isEmpty else { return CookieReading(session: .none, backendHeader: .unchanged) }
        return header.withUnsafeBytes { self.read($0) }
    }

    /// The header for a backend whose request has no session, whatever the browser sent: an id that the store does not
    /// know is nobody's.
    package func withoutSession(_ header: ByteBufferView?) -> CookieReading.BackendHeader {
        guard let header, !header.isEmpty else { return .unchanged }
        return header.withUnsafeBytes { bytes in
            var mustRewrite = false
            Self.forEachPair(bytes) { pair, _ in
                mustRewrite = mustRewrite || self.owns(pair) || self.imitations.contain(pair)
            }
            guard mustRewrite else { return .unchanged }
            let rewritten = self.rewrite(bytes, accepted: nil)
            return rewritten.readableBytes == 0 ? .removed : .replaced(rewritten)
        }
    }

    private func read(_ header: UnsafeRawBufferPointer) -> CookieReading {
        var first: UnsafeRawBufferPointer?
        var count = 0
        var differs = false
        var mustRewrite = false
        var quotes = 0
        Self.forEachPair(header) { pair, isPlain in
            if self.owns(pair) {
                // Scripts strip one blank, if any: what stands between other ones they would see differently.
                mustRewrite = mustRewrite || !isPlain
                let value = UnsafeRawBufferPointer(rebasing: pair[(self.nameBytes.count + 1)...])
                count += 1
                if let first {
                    mustRewrite = true
                    differs = differs || !value.elementsEqual(first)
                } else {
                    first = value
                    // Python would take the cookie for a part of the quoted string that is still open.
                    mustRewrite = mustRewrite || quotes & 1 == 1
                }
            } else {
                mustRewrite = mustRewrite || self.imitations.contain(pair)
                for byte in pair where byte == UInt8(ascii: "\"") { quotes += 1 }
            }
        }

        let session: CookieReading.Session
        var accepted: UnsafeRawBufferPointer?
        if let first {
            if differs, self.duplicates == .none {
                session = .conflicting
            } else if let id = SessionID(bytes: first) ?? (self.acceptsPHPIDs ? SessionID(phpCookie: first) : nil) {
                session = .accepted(id)
                accepted = first
            } else {
                session = .malformed
            }
        } else {
            session = .none
        }
        if !mustRewrite, count == 0 || accepted != nil {
            return CookieReading(session: session, backendHeader: .unchanged)
        }
        let rewritten = self.rewrite(header, accepted: accepted)
        return CookieReading(
            session: session,
            backendHeader: rewritten.readableBytes == 0 ? .removed : .replaced(rewritten)
        )
    }

    private func rewrite(_ header: UnsafeRawBufferPointer, accepted: UnsafeRawBufferPointer?) -> ByteBuffer {
        var rewritten = ByteBuffer()
        rewritten.reserveCapacity(header.count)
        if let accepted {
            rewritten.writeBytes(self.nameBytes)
            rewritten.writeInteger(UInt8(ascii: "="))
            rewritten.writeBytes(accepted)
        }
        Self.forEachPair(header) { pair, _ in
            if self.owns(pair) || self.imitations.contain(pair) { return }
            if rewritten.readableBytes > 0 { rewritten.writeStaticString("; ") }
            rewritten.writeBytes(pair)
        }
        return rewritten
    }

    /// Calls the body for every trimmed pair that is not empty.
    /// - Parameter body: learns also whether the pair stood as browsers write it: behind the header's beginning, `;` or
    ///   `; `, with nothing behind it.
    private static func forEachPair(
        _ header: UnsafeRawBufferPointer,
        _ body: (_ pair: UnsafeRawBufferPointer, _ isPlain: Bool) -> Void
    ) {
        var start = 0
        while start < header.count {
            var end = start
            while end < header.count, header[end] != UInt8(ascii: ";") { end += 1 }
            let trimmed = header[start..<end].trimmingBlanks()
            if !trimmed.isEmpty {
                let blanks = trimmed.startIndex - start
                let isPlain =
                    trimmed.endIndex == end && (blanks == 0 || blanks == 1 && start > 0 && header[start] == 0x20)
                body(UnsafeRawBufferPointer(rebasing: trimmed), isPlain)
            }
            start = end + 1
        }
    }
}
