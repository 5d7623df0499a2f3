/// Why a database did not do what it was asked. Never holds a key, a session or a password.
package struct DatabaseError: Error, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// It cannot be reached; nothing was sent.
        case unavailable
        /// The connection was lost, more often than is tried again: what was under way may or may not have happened.
        case lost
        /// It did not answer in time; the connection is given up.
        case timedOut
        /// More is waiting for it than may wait; nothing was sent.
        case queueFull
        /// Another transaction was in the way, more often than is tried again.
        case conflict
        /// Somebody else had a row locked for as long as is waited for it.
        case locked
        /// The disk is full, the file may not be written, or is damaged.
        case storage
        /// The tables are not there, or newer than this program.
        case schema
        /// The server refuses what was asked: an account without rights, a setting that is out of range.
        case refused
        case closed
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Whether a change that ended with this may be in the database all the same.
    package var mayHaveHappened: Bool { self.code == .lost || self.code == .timedOut }

    /// Whether it is the fault of one change, or of one row, and not of the database.
    package var concernsChanges: Bool { self.code == .conflict || self.code == .locked || self.code == .refused }

    package var description: String { self.message }
}
