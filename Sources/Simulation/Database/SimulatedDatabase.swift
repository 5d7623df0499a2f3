import NIOCore
package import Sessions

/// The rows of a database, and how a change applies to them: as the statements of `SessionStatements` do, which a test
/// compares with the real databases.
package struct SimulatedDatabase: Sendable {
    package private(set) var rows: [SessionKey: SessionRow] = [:]

    package init() {}

    package func load(_ key: SessionKey) -> SessionRow? {
        guard var row = self.rows[key] else { return nil }
        row.record.databaseSynced = row.synced
        return row
    }

    package func due(at now: SessionRecord.Timestamp, limit: Int) -> [DueRow] {
        // In the order of time and key, as chance must not depend on a dictionary's order.
        let due = self.rows.values.filter { $0.due <= now }.sorted {
            $0.due != $1.due ? $0.due < $1.due : $0.key.bytes.lexicographicallyPrecedes($1.key.bytes)
        }
        return due.prefix(limit).map { row in
            DueRow(
                key: row.key,
                identity: row.record.identity,
                newest: row.newest,
                isTombstone: row.record.isTombstone,
                created: row.record.created,
                written: row.record.written,
                expires: row.expires,
                seen: row.record.written,
                absoluteDeadline: row.record.absoluteDeadline,
                due: row.due,
                saves: row.saves,
                size: row.record.payload.readableBytes
            )
        }
    }

    @discardableResult
    package mutating func apply(_ change: RowChange) -> RowChangeResult {
        let row = self.rows[change.key]
        switch change {
        case .insert(let new):
            guard row == nil else { return self.refusal(new) }
            self.rows[new.key] = new
            return .applied
        case .compareAndSave(let new, let base):
            guard let row, !row.record.isTombstone, row.record.identity == base else { return self.refusal(new) }
            self.replace(row, by: new, newest: max(row.newest, new.newest))
            return .applied
        case .upsert(let new, let replaced):
            return self.upsert(new, over: row, replaced)
        case .tombstone(let new):
            self.bury(new, over: row)
            return .applied
        case .touch(let key, let expires, let due, let newest, let soon):
            guard row != nil else { return .absent }
            return self.change(key, if: { !$0.record.isTombstone && ($0.expires < expires || $0.newest < newest) }) {
                row in
                if row.record.identity.version < newest {
                    row.due = min(row.due, soon)
                } else if row.due >= row.expires {
                    row.due = due
                }
                row.newest = max(row.newest, newest)
                row.expires = max(row.expires, expires)
            }
        case .mark(let key, let newest):
            guard row != nil else { return .absent }
            return self.change(key, if: { !$0.record.isTombstone && $0.newest < newest }) { $0.newest = newest }
        case .confirm(let key, let identity):
            let isMeant: (SessionRow) -> Bool = {
                !$0.record.isTombstone && $0.record.identity == identity && $0.newest == $0.maybeNewer
            }
            return self.change(key, if: isMeant) { $0.newest = identity.version }
        case .postpone(let key, let identity, let due):
            return self.change(key, if: { $0.record.identity == identity }) { $0.due = due }
        case .makeDue(let key, let identity):
            return self.change(key, if: { $0.record.identity == identity && $0.due > SessionRow.dueAtOnce }) {
                $0.due = SessionRow.dueAtOnce
            }
        case .delete(let key, let identity, let dueBefore, let expiresBefore):
            guard let row, row.record.identity == identity, row.due <= dueBefore, row.expires <= expiresBefore else {
                return .refused(current: nil)
            }
            self.rows[key] = nil
            return .applied
        }
    }

    private mutating func upsert(
        _ new: SessionRow,
        over row: SessionRow?,
        _ replaced: RowChange.Replaced
    ) -> RowChangeResult {
        guard let row else {
            self.rows[new.key] = new
            return .applied
        }
        guard !row.record.isTombstone, new.mayReplace(row.record.identity, replaced) else {
            return self.refusal(new)
        }
        self.replace(row, by: new, newest: max(row.newest, new.newest))
        return .applied
    }

    private mutating func replace(_ row: SessionRow, by new: SessionRow, newest: UInt64) {
        var new = new
        new.newest = newest
        new.saves = row.record.identity == new.record.identity ? row.saves : row.saves + new.saves
        new.expires = max(new.expires, row.expires)
        self.rows[new.key] = new
    }

    private mutating func bury(_ new: SessionRow, over row: SessionRow?) {
        guard var row else {
            self.rows[new.key] = new
            return
        }
        row.record.isTombstone = true
        row.record.identity = WriteIdentity(
            version: max(row.record.identity.version, new.record.identity.version),
            writer: new.record.identity.writer
        )
        row.record.written = new.record.written
        row.record.payload.clear()
        row.expires = row.record.absoluteDeadline
        row.due = new.due
        row.synced = new.synced
        self.rows[row.key] = row
    }

    private mutating func change(
        _ key: SessionKey,
        if condition: (SessionRow) -> Bool,
        _ body: (inout SessionRow) -> Void
    ) -> RowChangeResult {
        guard var row = self.rows[key], condition(row) else { return .refused(current: nil) }
        body(&row)
        self.rows[key] = row
        return .applied
    }

    private func refusal(_ new: SessionRow) -> RowChangeResult {
        guard let row = self.rows[new.key], !row.record.isTombstone else { return .refused(current: nil) }
        return row.record.identity == new.record.identity ? .applied : .refused(current: row.record.identity)
    }

    // MARK: Deliberate mistakes

    mutating func overwrite(_ new: SessionRow) { self.rows[new.key] = new }
    mutating func remove(_ key: SessionKey) { self.rows[key] = nil }
}
