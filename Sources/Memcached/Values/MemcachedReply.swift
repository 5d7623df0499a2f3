package import NIOCore

/// A server's answer to one command. All of these leave the connection usable.
package enum MemcachedReply: Sendable, Equatable {
    /// - Parameters:
    ///   - value: a slice of what was read, which it keeps in memory: whoever holds it for long copies it.
    ///   - token: names this very item (`c`), for a compare-and-set on the same connection.
    ///   - secondsToLive: what was left before the touch, if there was one; `nil` for an item without expiry.
    case hit(value: ByteBuffer, token: UInt64, secondsToLive: Int?)
    /// An item of another program's, likewise.
    case fetched(value: ByteBuffer, flags: UInt32)
    case miss
    /// - Parameter token: of the item that was stored.
    case stored(token: UInt64)
    case deleted
    /// `NS`: an add found an item.
    case notStored
    /// `EX`: a compare-and-set or a delete found another item.
    case exists
    /// `NF`: a compare-and-set or a delete found nothing.
    case notFound
    case noop
    case version(String)
    case settings(MemcachedSettings)
    case statistics(MemcachedStatistics)
    /// The server could not do it. **After a write the old value of the key is gone there** (checked on 1.6.18).
    case serverError(ServerErrorKind)
    /// The server did not understand the command and did nothing.
    case clientError

    package enum ServerErrorKind: String, Sendable {
        /// `SERVER_ERROR object too large for cache`.
        case tooLarge
        /// `SERVER_ERROR out of memory storing object` and its relatives.
        case outOfMemory
        case other
    }
}

/// What a server says about itself (`stats settings`) as far as the client depends on it.
package struct MemcachedSettings: Sendable, Equatable {
    /// `item_size_max` (`-I`): bytes of the largest item, header and key included; 0 if the server did not say.
    package var itemSizeMaximum = 0
    /// `cas_enabled`: `false` after `-C`, where every token is 0 and no compare-and-set ever succeeds.
    package var casEnabled = true

    package init() {}

    /// The largest value that the server takes under a key of `keyLength` bytes: the item's header of 48 bytes, 8 of
    /// the CAS, the key with its NUL and the final CRLF are counted too (proven at the byte for 1.6.18). `Int.max` where the server did not say.
    package func maximumValueLength(keyLength: Int) -> Int {
        self.itemSizeMaximum == 0 ? .max : max(self.itemSizeMaximum - 48 - 8 - (keyLength + 1) - 2, 0)
    }
}
