# The ruleset that is built into tflint, with every rule of it. The clouds' own
# rulesets are downloads, and not used.
plugin "terraform" {
  enabled = true
  preset  = "all"
}
