# The parent of the `command` dispatches of one batch and step. `coordinator` registers and fills it:
# see docs/job-sizing-guide.md. inference, scoring and command differ in the names of group and task only.

# Set by the coordinator alone.

variable "job_id" {
  type = string
}

variable "region" {
  type    = string
  default = "global"
}

variable "namespace" {
  type    = string
  default = "default"
}

variable "batch" {
  type = string
}

variable "uid" {
  type        = string
  description = "tells two batches of one name apart"
}

variable "step" {
  type = string
}

variable "output_root" {
  type = string
}

variable "cpu" {
  type        = number
  description = "cores"
}

variable "memory_mb" {
  type = number
}

variable "gpus" {
  type = number
}

variable "own_python" {
  type        = string
  description = "the coordinator's interpreter: it is on the node as well where both are one machine"
}

variable "credentials" {
  type        = bool
  description = "whether the jobs get AWS keys from the Nomad Variable nomad/jobs/<job_id>"
}

variable "worker_environment" {
  type        = map(string)
  description = "what the coordinator's settings ask for; nothing secret"
}

# Yours: set them in a file of `name = value` lines (--job_vars, or `nomad.vars` of a pipeline).

variable "datacenters" {
  type    = list(string)
  default = ["*"]
}

variable "node_pool" {
  type    = string
  default = "default"
}

variable "driver" {
  type    = string
  default = "docker"

  validation {
    condition     = var.driver == "docker" || var.driver == "raw_exec"
    error_message = "The driver is docker or raw_exec."
  }
}

variable "python" {
  type        = string
  default     = ""
  description = "the interpreter that has the package; default the coordinator's own, in an image python"
}

variable "image" {
  type    = string
  default = "coordinator-worker"
}

variable "volumes" {
  type        = list(string)
  default     = []
  description = "with docker: host_folder:container_folder[:ro]; the client must allow it (plugin docker, volumes)"
}

variable "network_mode" {
  type        = string
  default     = ""
  description = "with docker: for example host, where the store is reached by the node's own network only"
}

variable "image_uid" {
  type        = number
  default     = 10001
  description = "the user that the image runs as: it owns the file of keys"
}

variable "environment" {
  type        = map(string)
  default     = {}
  description = "nothing secret: whoever may read jobs reads it"
}

variable "model_cache" {
  type        = string
  default     = ""
  description = "folder for copies of models from buckets; with docker inside the container, see volumes"
}

variable "model_cache_gb" {
  type        = number
  default     = 100
  description = "how large they may be together; what was not used for longest goes first"
}

variable "priority" {
  type    = number
  default = 50
}

variable "mhz_per_core" {
  type        = number
  default     = 1000
  description = "Nomad counts MHz, pipelines count cores"
}

variable "memory_max_mb" {
  type        = number
  default     = 0
  description = "0 = memory_mb; more takes a cluster with memory oversubscription"
}

variable "kill_timeout" {
  type        = string
  default     = "30s"
  description = "from SIGTERM to SIGKILL; a client caps it (max_kill_timeout)"
}

variable "lost_after" {
  type        = string
  default     = "5m"
  description = "how long a node may be away before its jobs start on another"
}

variable "disk_mb" {
  type    = number
  default = 500
}

variable "log_files" {
  type        = number
  default     = 5
  description = "kept of each stream"
}

variable "log_file_mb" {
  type    = number
  default = 10
}

locals {
  python = var.python != "" ? var.python : var.driver == "docker" ? "python" : var.own_python
}

job "command" {
  id          = var.job_id
  name        = var.job_id
  type        = "batch"
  region      = var.region
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool
  priority    = var.priority

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

  group "command" {
    # The coordinator owns retries: it knows which item failed, and how.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    # Nothing is started a second time before that; then Nomad starts it on another node.
    disconnect {
      lost_after = var.lost_after
      replace    = false
    }

    # Larger than the logs, which lie on it: 2 x log_files x log_file_mb.
    ephemeral_disk {
      size = var.disk_mb
    }

    task "command" {
      driver       = var.driver
      kill_signal  = "SIGTERM"
      kill_timeout = var.kill_timeout

      # The worker is the main process: no shell stands between it and signals.
      config {
        command    = var.driver == "raw_exec" ? local.python : null
        image      = var.driver == "docker" ? var.image : null
        entrypoint = var.driver == "docker" ? [local.python] : null

        volumes      = var.driver == "docker" && length(var.volumes) > 0 ? var.volumes : null
        network_mode = var.driver == "docker" && var.network_mode != "" ? var.network_mode : null

        args = [
          "-m", "coordinator.workers", "${NOMAD_META_output_root}", "${NOMAD_META_handoff}",
        ]
      }

      env = merge(
        var.worker_environment,
        { COORDINATOR_MODEL_CACHE_GB = "${var.model_cache_gb}" },
        var.model_cache != "" ? { COORDINATOR_MODEL_CACHE = var.model_cache } : {},
        var.environment,
        var.credentials ? { AWS_SHARED_CREDENTIALS_FILE = "${NOMAD_SECRETS_DIR}/aws" } : {},
      )

      # noop: the worker reads the file again when keys expire; it is never restarted for it.
      dynamic "template" {
        for_each = var.credentials ? [var.job_id] : []
        content {
          data        = <<-EOT
            {{- if nomadVarExists "nomad/jobs/${template.value}" -}}
            {{- with nomadVar "nomad/jobs/${template.value}" }}{{ .aws }}{{ end -}}
            {{- end -}}
          EOT
          destination = "$${NOMAD_SECRETS_DIR}/aws"
          change_mode = "noop"
          perms       = "0400"
          uid         = var.driver == "docker" ? var.image_uid : -1
        }
      }

      logs {
        max_files     = var.log_files
        max_file_size = var.log_file_mb
      }

      resources {
        cpu        = var.cpu * var.mhz_per_core
        memory     = var.memory_mb
        memory_max = var.memory_max_mb

        dynamic "device" {
          for_each = var.gpus > 0 ? [var.gpus] : []
          labels   = ["nvidia/gpu"]
          content {
            count = device.value
          }
        }
      }
    }
  }
}
