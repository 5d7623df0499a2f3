import Responder

/// Deals requests out to the event loops, each in turn.
struct RequestDispatcher: RequestHandler {
    let workers: [Worker]
    private let turn = ManagedCounter()

    init(workers: [Worker]) {
        self.workers = workers
    }

    func received(_ request: IncomingRequest) {
        let index = self.workers.count == 1 ? 0 : self.turn.next() % self.workers.count
        self.workers[index].begin(request)
    }
}
