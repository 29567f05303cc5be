# The coordinator of one batch as a job of its own: the batch outlives the machine that it is begun from.
# See "A batch that outlives your machine" in docs/batch-run-guide.md.

variable "batch" {
  type        = string
  description = "its name"
}

variable "arguments" {
  type        = list(string)
  description = "of submit: where the items, the model and the outputs are; every node must reach them"
}

variable "pipeline" {
  type        = string
  description = "the text of the pipeline file"
}

variable "job_vars" {
  type        = string
  default     = ""
  description = "the text of the file of variables for the job files of the batch's own jobs"
}

variable "nomad_addr" {
  type        = string
  default     = "http://$${attr.unique.network.ip-address}:4646"
  description = "as the coordinator reaches it from where it runs"
}

variable "region" {
  type    = string
  default = "global"
}

variable "namespace" {
  type    = string
  default = "default"
}

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

variable "image" {
  type    = string
  default = "coordinator"
}

variable "image_uid" {
  type        = number
  default     = 10001
  description = "the user that the image runs as: it owns the file of keys"
}

variable "python" {
  type        = string
  default     = "python"
  description = "the interpreter that has the package"
}

variable "environment" {
  type        = map(string)
  default     = {}
  description = "nothing secret: whoever may read jobs reads it"
}

variable "mhz" {
  type    = number
  default = 500
}

variable "memory_mb" {
  type    = number
  default = 512
}

variable "disk_mb" {
  type        = number
  default     = 2000
  description = "holds the ledger and the log tree"
}

variable "kill_timeout" {
  type        = string
  default     = "30s"
  description = "in which it saves the ledger; a client caps it (max_kill_timeout)"
}

locals {
  job_id = "coordinator-${replace(var.batch, ".", "~")}"
}

job "coordinator" {
  id          = local.job_id
  name        = local.job_id
  type        = "batch"
  region      = var.region
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool

  group "coordinator" {
    # It goes on wherever it is started again: from its own ledger, or from the saved one.
    restart {
      attempts = 5
      interval = "10m"
      delay    = "15s"
      mode     = "fail"
    }

    reschedule {
      attempts       = 0
      delay          = "30s"
      delay_function = "exponential"
      max_delay      = "10m"
      unlimited      = true
    }

    ephemeral_disk {
      size = var.disk_mb
    }

    task "coordinator" {
      driver       = var.driver
      kill_signal  = "SIGTERM"
      kill_timeout = var.kill_timeout

      # NOMAD_TOKEN: what a policy allows that is bound to this job (nomad acl policy apply -job).
      identity {
        env = true
      }

      config {
        command    = var.driver == "raw_exec" ? var.python : null
        image      = var.driver == "docker" ? var.image : null
        entrypoint = var.driver == "docker" ? [var.python] : null
        args = concat([
          "-m", "coordinator", "submit", var.batch, "--unattended", "--save_ledger",
          "--cluster", "nomad",
          "--pipeline", "${NOMAD_TASK_DIR}/pipeline.yml",
          "--job_vars", "${NOMAD_TASK_DIR}/job.vars",
          "--state_dir", "${NOMAD_ALLOC_DIR}/data/state",
          "--log_dir", "${NOMAD_ALLOC_DIR}/data/local-logs",
        ], var.arguments)
      }

      env = merge({
        NOMAD_ADDR                  = var.nomad_addr
        AWS_SHARED_CREDENTIALS_FILE = "${NOMAD_SECRETS_DIR}/aws"
      }, var.environment)

      template {
        data        = var.pipeline
        destination = "$${NOMAD_TASK_DIR}/pipeline.yml"
        change_mode = "noop"
      }

      template {
        data        = var.job_vars
        destination = "$${NOMAD_TASK_DIR}/job.vars"
        change_mode = "noop"
      }

      # noop: the file is read again when keys expire.
      template {
        data        = <<-EOT
          {{- if nomadVarExists "nomad/jobs/${local.job_id}" -}}
          {{- with nomadVar "nomad/jobs/${local.job_id}" }}{{ .aws }}{{ end -}}
          {{- end -}}
        EOT
        destination = "$${NOMAD_SECRETS_DIR}/aws"
        change_mode = "noop"
        perms       = "0400"
        uid         = var.driver == "docker" ? var.image_uid : -1
      }

      logs {
        max_files     = 3
        max_file_size = 10
      }

      resources {
        cpu    = var.mhz
        memory = var.memory_mb
      }
    }
  }
}
