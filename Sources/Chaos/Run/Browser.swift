import GatewayTesting
import Synchronization

/// A visitor's cookie, shared by the threads that make the visitor's requests: they may be under way at the same time, as
/// a browser's are.
final class Browser: Sendable {
    struct Cookie: Sendable, Equatable {
        var text: String
        /// Which session it is of.
        var session: Int
    }

    private let current = Mutex<Cookie?>(nil)

    var cookie: Cookie? { self.current.withLock { $0 } }

    /// Takes the cookie that came with an answer, unless another answer has changed it since the request was sent.
    func replace(_ sent: Cookie?, by cookie: Cookie?) {
        self.current.withLock { current in
            if current == sent { current = cookie }
        }
    }
}

/// Makes visits and notes what they have shown.
final class VisitRecorder: Sendable {
    private struct State {
        var visits: [Visit] = []
        var sessions = 0
        var writes = 0
        /// Cookies of sessions that were signed out: nothing may be found with them.
        var dead: [Browser.Cookie] = []
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now

    /// Nanoseconds since the run began.
    var now: Int64 {
        let (seconds, attoseconds) = (ContinuousClock.now - self.start).components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    var visits: [Visit] { self.state.withLock { $0.visits } }
    var count: Int { self.state.withLock { $0.visits.count } }

    /// - Parameter place: 0..<1.
    func deadCookie(_ place: Double) -> Browser.Cookie? {
        self.state.withLock { $0.dead.isEmpty ? nil : $0.dead[Int(place * Double($0.dead.count))] }
    }

    /// One request and its answer.
    /// - Parameters:
    ///   - cookie: nil for a new visitor.
    ///   - sleep: milliseconds that the page takes for itself.
    /// - Returns: the visit, and the cookie that the visitor has afterwards.
    @discardableResult
    func visit(
        _ purpose: Visit.Purpose,
        cookie: Browser.Cookie?,
        sleep: Int? = nil,
        over connection: HTTPConnection
    ) -> (visit: Visit, cookie: Browser.Cookie?) {
        var query: [String] = []
        var write: Int?
        if purpose == .write || purpose == .signIn {
            let number = self.state.withLock { state in
                state.writes += 1
                return state.writes
            }
            write = number
            query.append("write=\(number)")
        }
        if purpose == .signIn { query.append("control=regenerate") }
        if purpose == .signOut { query.append("control=destroy") }
        if let sleep { query.append("sleep=\(sleep)") }
        let path = "/?" + query.joined(separator: "&")
        var visit = Visit(purpose, session: cookie?.session, began: self.now, ended: 0)
        visit.write = write
        visit.isSlow = sleep != nil
        // What changes something is a POST: nginx repeats it on another gateway only if it was not sent to the first.
        let response = try? connection.send(purpose == .read ? "GET" : "POST", path, cookie: cookie?.text)
        visit.ended = self.now
        var next = cookie
        if let response { self.read(response, into: &visit, &next) }
        let over = visit.outcome == .destroyed || visit.outcome == .moved ? cookie : nil
        self.state.withLock { state in
            state.visits.append(visit)
            if let over, !visit.found.isEmpty { state.dead.append(over) }
        }
        return (visit, next)
    }

    private func read(_ response: HTTPResponse, into visit: inout Visit, _ cookie: inout Browser.Cookie?) {
        visit.status = response.status
        visit.outcome = Visit.Outcome(rawValue: response.header("X-Outcome") ?? "") ?? .none
        if response.text.hasPrefix("found:") {
            visit.hasPage = true
            if let found = Lineage(response.text.dropFirst(6)) { visit.found = found } else { visit.isGarbled = true }
        }
        let isGone = visit.hasPage && visit.found.isEmpty && !visit.isGarbled
        if isGone { cookie = nil }
        for field in response.headers("Set-Cookie") {
            guard let pair = field.split(separator: ";").first else { continue }
            // A cookie that is sent again for the same session is no new one.
            if field.contains("Max-Age=0") {
                cookie = nil
            } else if pair.hasPrefix("session="), visit.outcome == .new || visit.outcome == .moved {
                let session = self.state.withLock { state in
                    state.sessions += 1
                    return state.sessions
                }
                visit.newSession = session
                cookie = Browser.Cookie(text: String(pair), session: session)
            }
        }
    }
}
