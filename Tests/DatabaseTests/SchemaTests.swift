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

    @Test(arguments: DatabaseKind.allCases)
    func newerTablesAreRefused(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            try await test.execute("UPDATE session_gateway_schema SET version = 1000")
            let checked = await #expect(throws: DatabaseError.self) { try await test.database.checkSchema() }
            let migrated = await #expect(throws: DatabaseError.self) { try await test.database.migrate() }
            for error in [checked, migrated] {
                #expect(error?.code == .schema && error?.message.contains("newer") == true)
            }
        }
    }
}
