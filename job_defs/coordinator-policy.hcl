# What the coordinator may do, and nothing more:
#   nomad acl policy apply coordinator job_defs/coordinator-policy.hcl
# For another namespace than default, change its name here.
namespace "default" {
  # submit-job also parses, stops and purges: https://developer.hashicorp.com/nomad/docs/other-specifications/acl-policy
  capabilities = ["list-jobs", "read-job", "submit-job", "dispatch-job", "read-logs"]

  variables {
    # The keys of each batch's jobs (--use-local-creds).
    path "nomad/jobs/*" {
      capabilities = ["read", "write", "destroy"]
    }

    # The locks by which no batch has two drivers.
    path "coordinator/*" {
      capabilities = ["read", "write", "destroy"]
    }
  }
}

node {
  policy = "read"
}
