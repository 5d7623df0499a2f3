/// One change of one row. Every change says under which condition it may happen, so that none can put an older state over
/// a newer one or bring a destroyed session back, whoever else writes meanwhile.
package enum RowChange: Sendable {
    /// A session that was made just now. Refused where the key is taken.
    case insert(SessionRow)
    /// Saves from what was loaded. Refused where the row is another write by now, a tombstone, or gone.
    case compareAndSave(SessionRow, base: WriteIdentity)
    /// Brings the row up to date, or makes it. Refused where it is a tombstone, or is not what may be replaced.
    case upsert(SessionRow, over: Replaced = .older)
    /// Ends the session, whatever its version is, and stays for as long as it could have lived.
    case tombstone(SessionRow)
    /// Slides the expiry; never back. A row that was due before its expiry stays due then.
    ///
    /// `newest` is the version that was read, 0 where none is known: a row that is older remembers it, and is due at `soon` at
    /// the latest, since whoever had that version to write may be dead.
    case touch(
        SessionKey,
        expires: SessionRecord.Timestamp,
        due: SessionRecord.Timestamp,
        newest: UInt64 = 0,
        soon: SessionRecord.Timestamp = .max
    )
    /// Remembers that there is a newer version, which the row gets later.
    case mark(SessionKey, newest: UInt64)
    /// Memcached has nothing newer than this write: the row, if it is this write, no longer says that it may be old.
    case confirm(SessionKey, WriteIdentity)
    /// Has the reaper look again later; only if the row is still this write.
    case postpone(SessionKey, WriteIdentity, due: SessionRecord.Timestamp)
    /// Has the reaper look at its next pass; only if the row is still this write, and memcached has heard of that.
    case makeDue(SessionKey, WriteIdentity)
    /// Takes the row away; only if it is still this write, and neither time has moved since it was read: a touch leaves the
    /// one of a row that is due before its expiry.
    case delete(
        SessionKey,
        WriteIdentity,
        dueBefore: SessionRecord.Timestamp,
        expiresBefore: SessionRecord.Timestamp
    )

    package var key: SessionKey {
        switch self {
        case .insert(let row), .compareAndSave(let row, _), .upsert(let row, _), .tombstone(let row): row.key
        case .touch(let key, _, _, _, _), .mark(let key, _), .confirm(let key, _), .makeDue(let key, _),
            .postpone(let key, _, _),
            .delete(let key, _, _, _):
            key
        }
    }

    /// What the row becomes.
    package var row: SessionRow? {
        switch self {
        case .insert(let row), .compareAndSave(let row, _), .upsert(let row, _), .tombstone(let row): row
        case .touch, .mark, .confirm, .postpone, .makeDue, .delete: nil
        }
    }
}

extension RowChange {
    /// Which rows an upsert may replace, beside the row itself.
    package enum Replaced: Sendable {
        /// Those of a lower version: of what memcached says is true now.
        case older
        /// Those that it was made from, as far as it knows its ancestors: of what may be of another line by now, since all
        /// copies were lost in between, or too few servers were asked.
        case ancestors
    }
}

extension SessionRow {
    /// Whether a row with this identity may be replaced by this one.
    package func mayReplace(_ identity: WriteIdentity, _ replaced: RowChange.Replaced) -> Bool {
        identity == self.record.identity || identity.version < self.bound(replaced)
            || replaced == .ancestors && self.record.ancestors.contains(identity)
    }

    /// What is below this version may be replaced in any case. Whoever knows as many ancestors as a record can name takes
    /// what is older than them for an ancestor too.
    package func bound(_ replaced: RowChange.Replaced) -> UInt64 {
        switch replaced {
        case .older:
            return self.record.identity.version
        case .ancestors:
            guard self.record.ancestors.count == SessionRecord.maximumAncestors else { return 0 }
            return self.record.ancestors.last?.version ?? 0
        }
    }
}

package enum RowChangeResult: Sendable, Equatable {
    case applied
    /// - Parameter current: what the row is instead; nil where there is none, or a tombstone.
    case refused(current: WriteIdentity?)
    /// Of a touch or a mark: there is no row, not even a tombstone.
    case absent

    package var isApplied: Bool { self == .applied }
}
