import GatewayTesting
import Sessions
import Testing

@testable import Database

@Suite(.timeLimit(.minutes(3)))
struct SchemaTests {
    @Test(arguments: DatabaseKind.allCases)
    func theTablesAreMadeOnce(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind, isMigrated: false) { test in
            #expect(try await test.database.version() == 0)
            let missing = await #expect(throws: DatabaseError.self) { try await test.database.checkSchema() }
            #expect(missing?.code == .schema)
            #expect(missing?.message.contains("session-gateway database migrate") == true)
            // Two gateways that start at once.
            let second = try test.configuration.open()
            async let first = test.database.migrate()
            async let other = second.migrate()
            let found = try await [first, other]
            #expect(found.sorted() == [0, Schema.version])
            #expect(try await test.database.version() == Schema.version)
            try await second.checkSchema()
            #expect(try await test.database.migration() == Schema.version)
            await second.close()
        }
    }

    /// MariaDB keeps the tables of a migration that was interrupted before it was noted.
    @Test(arguments: DatabaseKind.allCases)
    func anInterruptedMigrationIsGoneOnWith(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 1)))
            try await test.execute("UPDATE session_gateway_schema SET version = 0")
            #expect(try await test.database.migration() == 0)
            #expect(try await test.database.version() == Schema.version)
            #expect(try await test.database.row(key) != nil)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func newerTablesAreRefused(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            try await test.execute("UPDATE session_gateway_schema SET version = 1000")
            let checked = await #expect(throws: DatabaseError.self) { try await test.database.checkSchema() }
            let migrated = await #expect(throws: DatabaseError.self) { try await test.database.migrate() }
            // Of another process, which did not look when it started.
            let other = try test.configuration.open()
            let key = try test.freshKey()
            let read = await #expect(throws: DatabaseError.self) { try await other.row(key) }
            let written = await #expect(throws: DatabaseError.self) {
                try await other.change(.insert(test.row(key, version: 1)))
            }
            let counted = await #expect(throws: DatabaseError.self) { try await other.dueRows(test.keyspace, at: 1) }
            for error in [checked, migrated, read, written, counted] {
                #expect(error?.code == .schema && error?.message.contains("newer") == true)
            }
            // As soon as they are this program's.
            try await test.execute("UPDATE session_gateway_schema SET version = \(Schema.version)")
            #expect(try await other.change(.insert(test.row(key, version: 1))) == .applied)
            await other.close()
        }
    }
}
