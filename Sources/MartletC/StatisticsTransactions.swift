// Header section: transactions of statistics.
import CMartlet
import Martlet

@_cdecl("martlet_model_begin_statistics") @implementation
public func martlet_model_begin_statistics(_ handle: OpaquePointer!) -> martlet_status {
  boundary { try model(handle).beginStatistics() }
}

@_cdecl("martlet_model_commit_statistics") @implementation
public func martlet_model_commit_statistics(_ handle: OpaquePointer!) -> martlet_status {
  boundary { try model(handle).commitStatistics() }
}

@_cdecl("martlet_model_rollback_statistics") @implementation
public func martlet_model_rollback_statistics(_ handle: OpaquePointer!) -> martlet_status {
  boundary { try model(handle).rollbackStatistics() }
}
