import HistoryChecker
import Testing

@testable import Sessions

/// Small cases in every order of their commands, faults included.
struct ReplicaExplorationTests {
    enum Case: Sendable {
        case load, save, destroy, create, keep
        case twoSaves, saveAgainstDestroy, saveAgainstKeep, loadAgainstHalfDoneSave
    }

    @Test(arguments: [Case.load, .save, .destroy, .create, .keep], [3, 2])
    func oneOperationWithTwoFaultsAnywhere(subject: Case, servers: Int) throws {
        try self.explore(subject, servers: servers, faults: 2, maximumTries: 3, atLeast: 50)
    }

    @Test(arguments: [3, 2])
    func twoSavesFromOneBase(servers: Int) throws {
        try self.explore(.twoSaves, servers: servers, faults: 0, maximumTries: 1, atLeast: 10)
    }

    @Test func twoSavesFromOneBaseWithAFault() throws {
        try self.explore(.twoSaves, servers: 3, faults: 1, maximumTries: 0, atLeast: 0)
    }

    @Test(arguments: [3, 2])
    func aSaveAgainstADestroy(servers: Int) throws {
        try self.explore(.saveAgainstDestroy, servers: servers, faults: 0, maximumTries: 1, atLeast: 9)
    }

    @Test func aSaveAgainstADestroyWithAFault() throws {
        try self.explore(.saveAgainstDestroy, servers: 2, faults: 1, maximumTries: 1, atLeast: 100)
    }

    @Test(arguments: [3, 2])
    func aSaveAgainstARepair(servers: Int) throws {
        try self.explore(.saveAgainstKeep, servers: servers, faults: 0, maximumTries: 1, atLeast: 9)
    }

    @Test(arguments: [3, 2])
    func aLoadAgainstAHalfDoneSave(servers: Int) throws {
        try self.explore(.loadAgainstHalfDoneSave, servers: servers, faults: 0, maximumTries: 3, atLeast: 3)
    }

    @Test func aLoadAgainstAHalfDoneSaveWithAFault() throws {
        try self.explore(.loadAgainstHalfDoneSave, servers: 2, faults: 1, maximumTries: 1, atLeast: 300)
    }

    @Test func aServerThatSetsBlindlyIsFound() throws {
        var explorer = ReplicaExplorer(faults: 0, maximumTries: 1)
        explorer.explore(try Self.world(.twoSaves, servers: 2, mistakes: [.plainSet]))
        #expect(explorer.violations.contains { $0.violation.promise == .oneSaveForEachBase })
    }

    private func explore(
        _ subject: Case,
        servers: Int,
        faults: Int,
        maximumTries: Int,
        atLeast ends: Int
    ) throws {
        var explorer = ReplicaExplorer(faults: faults, maximumTries: maximumTries)
        explorer.explore(try Self.world(subject, servers: servers))
        #expect(explorer.violations.isEmpty, "\(explorer.violations.prefix(2))")
        #expect(explorer.ends >= ends)
        #expect(explorer.ends + explorer.cut > 0)
    }

    private static func world(_ subject: Case, servers: Int, mistakes: Set<Mistake> = []) throws -> ReplicaWorld {
        var world = ReplicaWorld(ReplicaLayout(redundancy: 2, servers: servers, placement: 5), mistakes: mistakes)
        if case .create = subject {
            _ = world.start(.create(proposal: world.proposal()))
            return world
        }
        let record = world.seedSession()
        let loaded = (0...1).map { world.loaded(by: $0) }
        let mine = try #require(loaded[0])
        let theirs = try #require(loaded[1])
        let save = ReplicaOperation.Goal.save(base: mine, proposal: world.proposal(from: record))
        let destroy = ReplicaOperation.Goal.destroy(identity: WriteIdentity(version: 99, writer: 9))
        switch subject {
        case .load:
            _ = world.start(.load)
        case .save:
            _ = world.start(save)
        case .destroy:
            _ = world.start(destroy)
        case .keep:
            _ = world.start(.keep)
        case .twoSaves:
            _ = world.start(save)
            _ = world.start(.save(base: theirs, proposal: world.proposal(from: record)), by: 1)
        case .saveAgainstDestroy:
            _ = world.start(save)
            _ = world.start(destroy, by: 1)
        case .saveAgainstKeep:
            _ = world.start(save)
            _ = world.start(.keep, by: 1)
        case .loadAgainstHalfDoneSave:
            world.deliver(world.start(save), to: 0)
            _ = world.start(.load, by: 1)
        case .create:
            break
        }
        return world
    }
}
