plugin "docker" {
  config {
    endpoint = "$docker_host"

    gc {
      # By default an image is deleted three minutes after its last task.
      image = false
    }

    volumes {
      enabled = true
    }
  }
}
