import Foundation
import GatewayTesting
import Synchronization

/// The load: threads that make the visitors' requests, so many a second together, until they are told to stop.
final class Visitors: Sendable {
    private let recorder: VisitRecorder
    private let browsers: [Browser]
    private let address: SocketAddress
    private let interval: Double
    private let started = ContinuousClock.now
    private let nextSlot = Atomic(0)
    private let isOver = Atomic(false)
    private let running: DispatchGroup

    /// - Parameter rate: requests a second.
    init(_ count: Int, rate: Int, threads: Int, seed: UInt64, address: SocketAddress, recorder: VisitRecorder) {
        self.recorder = recorder
        self.browsers = (0..<count).map { _ in Browser() }
        self.address = address
        self.interval = 1 / Double(rate)
        self.running = DispatchGroup()
        for number in 0..<threads {
            self.running.enter()
            let thread = Thread {
                self.run(SplitMix(seed: seed &+ UInt64(number) &* 7_919))
                self.running.leave()
            }
            thread.stackSize = 512 * 1_024
            thread.start()
        }
    }

    /// Waits for the requests that are under way.
    func stop() async {
        self.isOver.store(true, ordering: .releasing)
        await withCheckedContinuation { continuation in
            self.running.notify(queue: .global()) { continuation.resume() }
        }
    }

    /// Every visitor, and everybody who has signed out, looks once more: after the faults.
    /// - Returns: how many of the visits failed.
    func lookAgain() async -> Int {
        let failures = Mutex(0)
        let browsers = Mutex(self.browsers)
        let group = DispatchGroup()
        for _ in 0..<8 {
            group.enter()
            let thread = Thread {
                let connection = HTTPConnection(self.address)
                while let browser = browsers.withLock({ $0.popLast() }) {
                    let (visit, _) = self.recorder.visit(.read, cookie: browser.cookie, over: connection)
                    if visit.status != 200 { failures.withLock { $0 += 1 } }
                }
                group.leave()
            }
            thread.start()
        }
        await withCheckedContinuation { continuation in
            group.notify(queue: .global()) { continuation.resume() }
        }
        let connection = HTTPConnection(self.address)
        for place in 0..<200 {
            guard let cookie = self.recorder.deadCookie(Double(place) / 200) else { break }
            if self.recorder.visit(.read, cookie: cookie, over: connection).visit.status != 200 {
                failures.withLock { $0 += 1 }
            }
        }
        return failures.withLock { $0 }
    }

    private func run(_ seeded: SplitMix) {
        var random = seeded
        let connection = HTTPConnection(self.address)
        while !self.isOver.load(ordering: .acquiring) {
            let slot = self.nextSlot.wrappingAdd(1, ordering: .relaxed).oldValue
            let due = self.started + .seconds(Double(slot) * self.interval)
            let wait = (due - .now) / .seconds(1)
            if wait > 0 { Thread.sleep(forTimeInterval: wait) }
            // What was missed while all threads waited for answers is not made up for.
            if wait < -0.1 { continue }
            self.visit(&random, connection)
        }
    }

    private func visit(_ random: inout SplitMix, _ connection: HTTPConnection) {
        // A fifth of the requests go to a few visitors, whose requests get in each other's way.
        let isBusy = random.isLucky(percent: 20)
        let browser = self.browsers[random.below(isBusy ? min(5, self.browsers.count) : self.browsers.count)]
        let dice = random.below(1_000)
        let pause = 5 + random.below(60)
        let place = Double.random(in: 0..<1, using: &random)
        guard let cookie = browser.cookie else {
            browser.replace(nil, by: self.recorder.visit(.write, cookie: nil, over: connection).cookie)
            return
        }
        let after: Browser.Cookie?
        switch dice {
        case 0..<450:
            after = self.recorder.visit(.write, cookie: cookie, over: connection).cookie
        case 450..<550:
            after = self.recorder.visit(.write, cookie: cookie, sleep: pause, over: connection).cookie
        case 550..<560:
            after = self.recorder.visit(.signIn, cookie: cookie, over: connection).cookie
        case 560..<570:
            after = self.recorder.visit(.signOut, cookie: cookie, over: connection).cookie
        case 570..<600:
            if let dead = self.recorder.deadCookie(place) {
                self.recorder.visit(.read, cookie: dead, over: connection)
            }
            return
        default:
            after = self.recorder.visit(.read, cookie: cookie, over: connection).cookie
        }
        browser.replace(cookie, by: after)
    }
}
