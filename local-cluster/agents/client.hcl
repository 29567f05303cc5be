client {
  enabled           = true
  servers           = [$rpc_of_servers]
  network_interface = "$loopback"
  cpu_total_compute = $cpu_total_compute
  memory_total_mb   = $memory_total_mb
  max_kill_timeout  = "$max_kill_timeout"

  # Logs go with the allocation: none is collected before the coordinator has fetched them.
  gc_max_allocs            = $gc_max_allocs
  gc_disk_usage_threshold  = 99
  gc_inode_usage_threshold = 99

  options = {
    # No probing of the network for a cloud (with AWS_CA_BUNDLE set, the agent would not even start).
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean,consul,vault"
  }
}

plugin "raw_exec" {
  config {
    enabled = true
  }
}
