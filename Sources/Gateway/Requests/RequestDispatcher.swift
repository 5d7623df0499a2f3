import Responder

/// Gives each request to the worker of its event loop.
struct RequestDispatcher: RequestHandler {
    private let workers: [ObjectIdentifier: Worker]

    init(workers: [Worker]) {
        self.workers = Dictionary(uniqueKeysWithValues: workers.map { (ObjectIdentifier($0.eventLoop), $0) })
    }

    func received(_ request: IncomingRequest) {
        guard let worker = self.workers[ObjectIdentifier(request.eventLoop)] else { return request.abort() }
        worker.begin(request)
    }
}
