output "sallyport_egress_allowed" {
  description = "The value of SALLYPORT_EGRESS_ALLOWED: comma-separated, sorted, an address alone or start-end."
  value       = join(",", [for r in local.ranges : r.start == r.end ? r.start : "${r.start}-${r.end}"])

  precondition {
    condition     = length(local.numbers) > 0
    error_message = "There is no address at all: nothing could be registered."
  }
}

output "salesforce_ip_ranges" {
  description = "Start and end, both included, as Salesforce's Setup asks for them: the fewest ranges that hold every address."
  value       = local.ranges

  precondition {
    condition     = length(local.ranges) <= local.max_ranges
    error_message = "${length(local.ranges)} ranges are more than the ${local.max_ranges} that Salesforce takes for an app: use addresses that lie next to each other, such as one prefix."
  }

  precondition {
    condition     = length(local.numbers) <= local.max_addresses
    error_message = "${length(local.numbers)} addresses are more than the ${local.max_addresses} that Salesforce takes for an app: register those that calls really leave by."
  }
}
