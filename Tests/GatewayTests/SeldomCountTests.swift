import Testing

@testable import Gateway

struct SeldomCountTests {
    @Test func whatHappensOftenIsSaidOnceAMinute() {
        let start = ContinuousClock.now
        var count = SeldomCount()
        #expect(count.happened(at: start) == 1)
        for second in 1..<60 { #expect(count.happened(at: start + .seconds(second)) == nil) }
        #expect(count.happened(at: start + .seconds(60)) == 60)
        #expect(count.happened(at: start + .seconds(61)) == nil)
        #expect(count.happened(at: start + .seconds(500)) == 2)
    }
}
