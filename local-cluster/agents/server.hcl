server {
  enabled          = true
  bootstrap_expect = $servers

  server_join {
    retry_join     = [$serf_of_others]
    retry_interval = "1s"
  }

  # Ended jobs stay, until purged: their outcomes are asked for.
  job_gc_threshold  = "$job_gc_threshold"
  event_buffer_size = $event_buffer_size

  # How soon a silent node counts as lost, also after a restart of the server.
  min_heartbeat_ttl      = "$min_heartbeat_ttl"
  heartbeat_grace        = "$heartbeat_grace"
  failover_heartbeat_ttl = "$failover_heartbeat_ttl"
}
