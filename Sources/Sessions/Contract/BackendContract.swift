import Glibc
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

        /// Bytes of all parameters as FastCGI sends them, roughly.
        package var estimatedLength: Int { Base64.encodedLength(self.data.readableBytes) * 33 / 32 + 384 }
    }

    /// Characters of base64 in one parameter at most: a FastCGI record and a string of a CGI's environment hold it with
    /// room to spare.
    package static let partLength = 32 * 1_024

    /// Whether a parameter that comes from outside must not reach the backend: a name of this contract, or `HTTP_PROXY`,
    /// which libraries take for their proxy. `SESSION_SITE` is the web server's word to the gateway and not listed here.
    package static func isReserved(_ name: UnsafeRawBufferPointer) -> Bool {
        // Called for every parameter of every request: nearly all are told apart by two bytes.
        guard name.count >= 10, name[0] == UInt8(ascii: "H") || name[0] == UInt8(ascii: "S") else { return false }
        if name[0] == UInt8(ascii: "H") { return name.count == 10 && name.elementsEqual("HTTP_PROXY".utf8) }
        guard name[1] == UInt8(ascii: "E"), name[2] == UInt8(ascii: "S"), self.begins(name, with: "SESSION_") else {
            return false
        }
        let rest = UnsafeRawBufferPointer(rebasing: name[8...])
        switch rest.count {
        case 2: return self.begins(rest, with: "ID")
        case 4:
            return self.begins(rest, with: "DATA") || self.begins(rest, with: "LATE") || self.begins(rest, with: "TURN")
        case 5 where self.begins(rest, with: "STATE") || self.begins(rest, with: "TOKEN"): return true
        case 7 where self.begins(rest, with: "NEXT_ID") || self.begins(rest, with: "VERSION"): return true
        default: return self.begins(rest, with: "DATA_")
        }
    }

    private static func begins(_ name: UnsafeRawBufferPointer, with text: StaticString) -> Bool {
        name.count >= text.utf8CodeUnitCount && memcmp(name.baseAddress!, text.utf8Start, text.utf8CodeUnitCount) == 0
    }

    /// The value of a parameter, to be written where it shall stand: a session is not copied on its way there.
    package enum Value {
        case text(String)
        case number(UInt64)
        case token(RequestToken)
        /// Bytes to be written in base64, valid during the call only.
        case base64(UnsafeRawBufferPointer)

        package var length: Int {
            switch self {
            case .text(let text): text.utf8.count
            case .number(let number): Self.digitCount(number)
            case .token: RequestToken.textLength
            case .base64(let bytes): Base64.encodedLength(bytes.count)
            }
        }

        /// - Parameter target: of `length` bytes.
        package func write(to target: UnsafeMutableRawBufferPointer) {
            switch self {
            case .text(var text): text.withUTF8 { target.copyMemory(from: UnsafeRawBufferPointer($0)) }
            case .number(var number):
                for index in target.indices.reversed() {
                    target[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10)
                    number /= 10
                }
            case .token(let token): token.write(to: target)
            case .base64(let bytes): Base64.encode(bytes, to: target)
            }
        }

        private static func digitCount(_ number: UInt64) -> Int {
            var count = 1
            var bound: UInt64 = 10
            while count < 20, number >= bound {
                count += 1
                bound = bound &* 10
            }
            return count
        }
    }

    /// Calls the body for every parameter of the offer.
    package static func forEachParameter(of offer: Offer, _ body: (_ name: String, _ value: Value) -> Void) {
        body("SESSION_STATE", .text(offer.state.rawValue))
        if let id = offer.id { body("SESSION_ID", .text(id.text)) }
        if let id = offer.nextID { body("SESSION_NEXT_ID", .text(id.text)) }
        if let token = offer.token { body("SESSION_TOKEN", .token(token)) }
        if let version = offer.version { body("SESSION_VERSION", .number(version)) }
        if let path = offer.latePath { body("SESSION_LATE", .text(path)) }
        if offer.isTurn { body("SESSION_TURN", .text("1")) }
        offer.data.withUnsafeReadableBytes { data in
            guard data.count > 0 else { return }
            // Whole groups of base64, so that the parts' texts joined are the text of the whole.
            let partSize = Self.partLength / 4 * 3
            guard data.count > partSize else { return body("SESSION_DATA", .base64(data)) }
            let count = (data.count + partSize - 1) / partSize
            body("SESSION_DATA_PARTS", .number(UInt64(count)))
            for part in 1...count {
                let bytes = data[(part - 1) * partSize..<min(part * partSize, data.count)]
                body("SESSION_DATA_\(part)", .base64(UnsafeRawBufferPointer(rebasing: bytes)))
            }
        }
    }
}
