# A parent whose children do nothing: Nomad's mock driver is in every build without the tag "release".
variable "job_id" { type = string }
variable "batch" { type = string }
variable "uid" { type = string }
variable "step" { type = string }
variable "output_root" { type = string }
variable "memory_mb" { type = number }

job "mock" {
  id          = var.job_id
  type        = "batch"
  datacenters = ["*"]

  meta {
    coordinator_batch = var.batch
    coordinator_uid   = var.uid
    coordinator_step  = var.step
    output_root       = var.output_root
  }

  parameterized {
    payload       = "forbidden"
    meta_required = ["handoff"]
  }

  group "mock" {
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    disconnect {
      lost_after = "5m"
      replace    = false
    }

    ephemeral_disk {
      size = 20
    }

    task "mock" {
      driver       = "mock_driver"
      kill_timeout = "5s"

      config {
        run_for = "10ms"
      }

      logs {
        max_files     = 1
        max_file_size = 1
      }

      resources {
        cpu    = 20
        memory = var.memory_mb
      }
    }
  }
}
