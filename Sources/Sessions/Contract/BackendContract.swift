package import NIOCore

/// What a backend is told about the session: names and values of its parameters (FastCGI parameters or CGI environment).
package enum BackendContract {
    package enum State: String, Sendable {
        case new
        case live
        /// The store is unreachable: changes are not kept.
        case anonymous
        /// The path is one that has no sessions.
        case none
    }

    /// What one request's backend is told; what is `nil` is left out.
    package struct Offer: Sendable {
        package var state: State
        /// For a request without a session the id that a new one would get.
        package var id: SessionID?
        package var nextID: SessionID?
        package var token: RequestToken?
        package var version: UInt64?
        package var data: ByteBuffer
        /// Path of the gateway's socket for late answers.
        package var latePath: String?
        /// Whether the session's next request waits until this one's backend is done with it.
        package var isTurn: Bool

        package init(
            state: State,
            id: SessionID? = nil,
            nextID: SessionID? = nil,
            token: RequestToken? = nil,
            version: UInt64? = nil,
            data: ByteBuffer = ByteBuffer(),
            latePath: String? = nil,
            isTurn: Bool = false
        ) {
            self.state = state
            self.id = id
            self.nextID = nextID
            self.token = token
            self.version = version
            self.data = data
            self.latePath = latePath
            self.isTurn = isTurn
        }
    }

    /// Characters of base64 in one parameter at most: a FastCGI record and a string of a CGI's environment hold it with
    /// room to spare.
    package static let partLength = 32 * 1_024

    /// Whether a parameter that comes from outside must not reach the backend: a name of this contract, or `HTTP_PROXY`,
    /// which libraries take for their proxy. `SESSION_SITE` is the web server's word to the gateway and not listed here.
    package static func isReserved(_ name: UnsafeRawBufferPointer) -> Bool {
        // Called for every parameter of every request: nearly all are told apart by two bytes.
        guard name.count >= 10, name[0] == UInt8(ascii: "H") || name[0] == UInt8(ascii: "S") else { return false }
        if name[0] == UInt8(ascii: "H") { return name.elementsEqual("HTTP_PROXY".utf8) }
        guard name[1] == UInt8(ascii: "E"), name[2] == UInt8(ascii: "S"), name.starts(with: "SESSION_".utf8) else {
            return false
        }
        let rest = name.dropFirst(8)
        return Self.names.contains { rest.elementsEqual($0.utf8) } || rest.starts(with: "DATA_".utf8)
    }

    private static let names = ["ID", "STATE", "DATA", "NEXT_ID", "TOKEN", "LATE", "VERSION", "TURN"]

    /// Calls the body for every parameter of the offer. The values are views of one buffer that is made for the call.
    package static func forEachParameter(
        of offer: Offer,
        _ body: (_ name: String, _ value: ByteBufferView) throws -> Void
    ) rethrows {
        let dataLength = Base64.encodedLength(offer.data.readableBytes)
        var scratch = ByteBuffer()
        scratch.reserveCapacity(dataLength + 320)

        func pass(_ name: String, _ write: (inout ByteBuffer) -> Void) throws {
            scratch.clear()
            write(&scratch)
            try body(name, scratch.readableBytesView)
        }

        try pass("SESSION_STATE") { $0.writeString(offer.state.rawValue) }
        if let id = offer.id { try pass("SESSION_ID") { $0.writeString(id.text) } }
        if let id = offer.nextID { try pass("SESSION_NEXT_ID") { $0.writeString(id.text) } }
        if let token = offer.token { try pass("SESSION_TOKEN") { token.write(to: &$0) } }
        if let version = offer.version { try pass("SESSION_VERSION") { $0.writeString(String(version)) } }
        if let path = offer.latePath { try pass("SESSION_LATE") { $0.writeString(path) } }
        if offer.isTurn { try pass("SESSION_TURN") { $0.writeString("1") } }

        guard dataLength > 0 else { return }
        scratch.clear()
        Base64.encode(offer.data, into: &scratch)
        guard dataLength > Self.partLength else {
            return try body("SESSION_DATA", scratch.readableBytesView)
        }
        var encoded = scratch.readableBytesView[...]
        let count = (dataLength + Self.partLength - 1) / Self.partLength
        try body("SESSION_DATA_PARTS", ByteBuffer(string: String(count)).readableBytesView)
        for part in 1...count {
            try body("SESSION_DATA_\(part)", encoded.prefix(Self.partLength))
            encoded = encoded.dropFirst(Self.partLength)
        }
    }
}
