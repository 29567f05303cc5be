# What `coordinator debug` needs besides coordinator-policy.hcl; for people, not for whatever runs batches:
#   nomad acl policy apply coordinator-debug job_defs/debug.policy.hcl
# For another namespace than default, change its name here.
namespace "default" {
  capabilities = [
    "read-fs",         # the stacks that the processes of a job have written; secrets/ is not readable by it
    "alloc-lifecycle", # the signal by which they are asked; it also allows to stop and restart allocations
    "alloc-exec",      # --pdb, and asking a worker that is stuck itself: any program, as the job's user
    "alloc-node-exec", # the same with the driver raw_exec, whose jobs see the node; not needed with docker
  ]
}
