/// What a backend's answer about the session did wrong. The text never holds data, ids or tokens.
package struct SessionContractError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// A field that does not follow the grammar.
        case malformed
        case invalidBase64
        /// More than the site's `max_size`.
        case tooLarge
        /// The blob came twice, or its parts do not fit together.
        case contradictory
        /// Parts are missing at the end.
        case incomplete
        /// A word in `Session-Control` that means nothing; ignoring it could lose a logout.
        case unknownControl
        /// The blob cannot be carried by the names of mod_session.
        case notRepresentable
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}
