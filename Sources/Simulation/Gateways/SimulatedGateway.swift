import Sessions

/// One gateway process: its connections, and what it knows.
struct SimulatedGateway {
    /// Its connection to one server, as `MemcachedServer` and `ReplicaServer` keep it.
    struct Link {
        enum State {
            case down
            case connecting
            case up
        }

        var state = State.down
        /// Of the attempts to connect; older ones count no more.
        var attempt = 0
        var connection: UInt64 = 0
        /// Of the server that it was made to.
        var serverLife = 0
        /// The marker was seen on this connection.
        var isComplete = false
        /// Of the marker, when it was last seen.
        var markerToken: UInt64 = 0
        /// What is unanswered on it.
        var pending: [Message] = []
        /// The walk for this server, if this gateway makes one.
        var walk: WalkRun?
        /// Attempts that failed since it was up.
        var failures = 0
    }

    var life = 1
    var isUp = true
    /// Its process is stopped until then: what comes in waits.
    var pausedUntil: EventQueue.Time = 0
    /// What its clock is ahead of the time of the world.
    var clockLead: EventQueue.Time
    /// Random per process: with the version it names a write.
    var writer: UInt64
    var lastVersion: UInt64 = 0
    var links: [Link]
    /// What it works by.
    var view: PoolView<SimulatedRing>
    /// What it is configured with.
    var configured: SimulatedRing
    var change: RingChange<SimulatedRing>
    var move: MoveRun?
    /// What it knows of the sessions beside memcached and the database.
    var memory: TierMemory
    /// A batch is on its way to the database.
    var isSyncing = false
    var beats = 0
    /// When the database is told next which expiries have slid.
    var nextTouch: EventQueue.Time = 0
    /// Sessions of which memcached is being told.
    var placing: Set<Int> = []
    /// When it last saw that too many servers have forgotten what they had.
    var sawLoss = EventQueue.Time.min

    init(
        servers: Int,
        clockLead: EventQueue.Time,
        writer: UInt64,
        view: PoolView<SimulatedRing>,
        change: RingChange<SimulatedRing>,
        tier: TierConfiguration
    ) {
        self.memory = TierMemory(configuration: tier, writer: writer)
        self.view = view
        self.configured = view.state.goal
        self.change = change
        self.clockLead = clockLead
        self.writer = writer
        self.links = Array(repeating: Link(), count: servers)
    }
}
