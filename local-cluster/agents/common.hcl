# What every agent has in common. $$names are filled in by agents.py.
name      = "$name"
region    = "global"
data_dir  = "$data_dir"
bind_addr = "127.0.0.1"
log_level = "WARN"

ports {
  http = $http
  rpc  = $rpc
  serf = $serf
}

advertise {
  http = "127.0.0.1:$http"
  rpc  = "127.0.0.1:$rpc"
  serf = "127.0.0.1:$serf"
}

disable_update_check        = true
disable_anonymous_signature = true
leave_on_interrupt          = false
leave_on_terminate          = false

consul {
  auto_advertise   = false
  server_auto_join = false
  client_auto_join = false
}

telemetry {
  # One series per dispatched job else: megabytes, at some thousand jobs.
  disable_dispatched_job_summary_metrics = true
}
