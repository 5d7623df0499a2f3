// swift-tools-version: 6.2
import PackageDescription

// Warnings are errors where SESSION_GATEWAY_STRICT is set (CI); a newer compiler's new warnings do not break a user's build.
let strict = Context.environment["SESSION_GATEWAY_STRICT"] != nil
let settings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
    ] + (strict ? [.treatAllWarnings(as: .error)] : [])

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioTestUtilities: Target.Dependency = .product(name: "NIOTestUtils", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let sqlite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

let package = Package(
    name: "session-gateway",
    products: [
        .executable(name: "session-gateway", targets: ["session-gateway"]),
        // For tests: see CFalseClock.
        .library(name: "FalseClock", type: .dynamic, targets: ["CFalseClock"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        .executableTarget(
            name: "session-gateway",
            dependencies: ["Gateway", "Store", "Configuration", "Sessions", "Memcached", arguments, logging],
            swiftSettings: settings
        ),

        // Assembles; the program on one screen.
        library(
            "Gateway",
            [
                "Responder", "Backends", "Store", "Adoption", "Database", "Configuration", "Sessions", "Memcached",
                "CGI",
                nioCore, nioPosix, logging, deque, lifecycle, signals,
            ]
        ),

        // nginx's side.
        library("Responder", ["CGI", "CFastCGI", "CFastCGIMemory", "CLinux", nioCore, nioPosix, logging, deque]),
        .systemLibrary(name: "CFastCGI", pkgConfig: "fcgi", providers: [.apt(["libfcgi-dev"])]),
        .target(name: "CFastCGIMemory"),

        // The backends' side.
        library("Backends", ["CGI", "FastCGI", "CLinux", nioCore, nioPosix, logging, deque]),
        library("FastCGI", ["CGI", nioCore]),

        // The store's side.
        library("Store", ["Sessions", "Memcached", "Database", nioCore, nioPosix, logging, deque]),
        library("Memcached", [nioCore, nioPosix, logging, deque]),
        // The databases' own libraries are seen nowhere else.
        library("Database", ["Sessions", "CPostgreSQL", "CMariaDB", grdb, sqlite, nioCore, nioPosix, deque]),
        .systemLibrary(name: "CPostgreSQL", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CMariaDB", pkgConfig: "libmariadb", providers: [.apt(["libmariadb-dev"])]),

        // The stores that applications kept their sessions in before.
        library("Adoption", ["Sessions", "Memcached", "CRedis", "CZlib", nioCore, nioPosix, logging]),
        .systemLibrary(name: "CRedis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

        // Values, no I/O.
        library("Sessions", [nioCore, crypto, heap]),
        library("Configuration", [.product(name: "Yams", package: "Yams")]),
        library("CGI", [nioCore]),
        .target(name: "CLinux"),

        // The replication under faults, in virtual time.
        library("HistoryChecker", []),
        library("Simulation", ["Sessions", "HistoryChecker", nioCore]),
        .executableTarget(name: "simulate", dependencies: ["Simulation", arguments], swiftSettings: settings),

        // For the tests: real servers on loopback, clocks.
        .target(name: "CFalseClock"),
        library("GatewayTesting", ["CLinux", nioCore, nioPosix]),

        // `Tests/chaos`: real servers that fail, and what their visitors see.
        library("Chaos", ["GatewayTesting", "HistoryChecker"]),
        .executableTarget(name: "chaos-run", dependencies: ["Chaos", arguments], swiftSettings: settings),

        // `swift run -c release ring-benchmark`
        .executableTarget(
            name: "ring-benchmark",
            dependencies: ["Sessions", "CAllocations"],
            path: "Benchmarks/RingBenchmark",
            swiftSettings: settings
        ),
        // `swift run -c release repair-benchmark`
        .executableTarget(
            name: "repair-benchmark",
            dependencies: ["Store", "Sessions", "Memcached", "GatewayTesting", nioCore, nioPosix, logging],
            path: "Benchmarks/RepairBenchmark",
            swiftSettings: settings
        ),
        .target(name: "CAllocations", path: "Benchmarks/CAllocations"),

        tests("CGITests", ["CGI", nioCore]),
        tests("FastCGITests", ["FastCGI", "CGI", nioCore, nioEmbedded, nioTestUtilities]),
        tests(
            "SessionsTests",
            ["Sessions", "HistoryChecker", nioCore, crypto],
            resources: [.copy("Vectors")]
        ),
        tests("HistoryCheckerTests", ["HistoryChecker"]),
        tests("ChaosTests", ["Chaos", "GatewayTesting"]),
        tests("SimulationTests", ["Simulation", "Sessions", "HistoryChecker"]),
        tests("ConfigurationTests", ["Configuration"]),
        tests(
            "MemcachedTests",
            [
                "Memcached", "GatewayTesting", nioCore, nioPosix, nioEmbedded, nioTestUtilities, logging, deque,
            ]
        ),
        tests("AdoptionTests", ["Adoption", "Sessions", "Memcached", "GatewayTesting", "CZlib", nioCore]),
        tests("DatabaseTests", ["Database", "Sessions", "Simulation", "GatewayTesting", nioCore]),
        tests(
            "StoreTests",
            ["Store", "Database", "Sessions", "Memcached", "GatewayTesting", nioCore, nioPosix, logging]
        ),
        tests(
            "BackendsTests",
            ["Backends", "CGI", "FastCGI", "GatewayTesting", "CLinux", nioCore, nioPosix, logging]
        ),
        tests("ResponderTests", ["Responder", "CGI", "FastCGI", "GatewayTesting", "CLinux", nioCore, nioPosix]),
        tests(
            "GatewayTests",
            ["Gateway", "Responder", "Configuration", "Sessions", "CGI", "GatewayTesting", nioCore, nioPosix]
        ),
        .testTarget(
            name: "AdapterTests",
            dependencies: ["GatewayTesting"],
            exclude: ["pages"],
            swiftSettings: settings
        ),
        tests("IntegrationTests", ["GatewayTesting", "CGI", "FastCGI", "Sessions", nioCore, nioPosix]),
    ]
)
