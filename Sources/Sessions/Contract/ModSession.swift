package import NIOCore

/// The contract under the names of Apache's mod_session (`contract: mod_session`): the blob as it stands, without a token.
/// Whoever can put a header into the backend's answer can replace the session.
package enum ModSession {
    /// The parameter that carries the blob to the backend. A client's own `Session:` header comes under the same name.
    package static let parameterName = "HTTP_SESSION"
    /// The response field that carries the new blob back.
    package static let fieldName = "X-Replace-Session"
    /// Bytes that a blob may have: more does not fit one FastCGI record beside its name.
    package static let maximumSize = 65_000

    /// Whether a parameter that comes from outside must not reach the backend; beyond those of `BackendContract`.
    package static func isReserved(_ name: UnsafeRawBufferPointer) -> Bool {
        name.elementsEqual(Self.parameterName.utf8)
    }

    package static func isField(_ name: some Collection<UInt8>) -> Bool {
        name.count == Self.fieldName.utf8.count
            && zip(name, Self.fieldName.utf8).allSatisfy { $0.lowercasedASCII == $1.lowercasedASCII }
    }

    /// Checks that a blob can be a header's value.
    /// - Throws: `.notRepresentable` for control bytes or more than `maximumSize` bytes.
    package static func check(_ data: ByteBuffer) throws(SessionContractError) {
        if data.readableBytes > Self.maximumSize {
            throw SessionContractError(.notRepresentable, "mod_session carries at most \(Self.maximumSize) bytes")
        }
        if data.readableBytesView.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
            throw SessionContractError(.notRepresentable, "mod_session carries no control bytes")
        }
    }

    /// The change that the answer's `X-Replace-Session` fields ask for: none, or one blob, which clears when it is empty.
    package static func change(
        _ values: [ByteBuffer],
        maximumSize: Int
    ) throws(SessionContractError) -> SessionChange {
        guard let data = values.first else { return SessionChange() }
        guard values.allSatisfy({ $0 == data }) else {
            throw SessionContractError(.contradictory, "X-Replace-Session came with two different values")
        }
        try Self.check(data)
        if data.readableBytes > maximumSize {
            throw SessionContractError(.tooLarge, "the session data is larger than max_size, \(maximumSize) bytes")
        }
        return SessionChange(data: data)
    }
}
