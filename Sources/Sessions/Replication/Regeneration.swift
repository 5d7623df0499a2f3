/// Moves a session to a fresh id: in this order, so that whatever fails in between may log the visitor out and never
/// leaves somebody logged in under the old id who believes to have left it.
///
/// The new id is acknowledged before the old one is destroyed, whatever version that one has by then (a sign-in is not
/// lost to a parallel poll), and the browser learns the new id only if both are.
package struct Regeneration: Sendable {
    package enum Step: Sendable, Hashable {
        /// Create the new id. Report back by `created`.
        case create
        /// Destroy the old id. Report back by `oldDestroyed`.
        case destroyOld
        /// Nobody will learn the new id: destroy it, as far as that succeeds. Report back by `newDestroyed`.
        case destroyNew
        /// - Parameter hasMoved: whether the browser may learn the new id.
        case finish(hasMoved: Bool)
    }

    package init() {}

    package func start() -> Step { .create }

    package func created(isKept: Bool) -> Step { isKept ? .destroyOld : .finish(hasMoved: false) }

    package func oldDestroyed(isAcknowledged: Bool) -> Step {
        isAcknowledged ? .finish(hasMoved: true) : .destroyNew
    }

    package func newDestroyed() -> Step { .finish(hasMoved: false) }
}
