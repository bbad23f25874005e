output "address_names" {
  description = "The names of the address resources by key: 01 and so on, and spare."
  value       = { for k in local.keys : k => "${var.name}-egress-${k}" }
}

output "active_keys" {
  description = "The keys of the addresses that calls leave by."
  value       = local.active
}

output "idle_keys" {
  description = "The keys of the addresses that are kept and registered, and not left by."
  value       = [for k in local.keys : k if !contains(local.active, k)]
}

output "prefix_length" {
  description = "The length of the prefix, which has room for all of them; null where there is none."
  value       = var.prefix_length
}
