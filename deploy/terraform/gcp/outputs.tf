output "sallyport_egress_allowed" {
  description = "The value of SALLYPORT_EGRESS_ALLOWED: every address that is kept here, the spare too."
  value       = module.ranges.sallyport_egress_allowed
}

output "salesforce_ip_ranges" {
  description = "Start and end pairs for the refresh token IP allowlist in Salesforce's Setup; the spare is in them."
  value       = module.ranges.salesforce_ip_ranges
}

output "addresses" {
  description = "The addresses that calls leave by now."
  value       = [for key in module.pool.active_keys : google_compute_address.egress[key].address]
}

output "spare_address" {
  description = "The address that is registered in advance, for a move or a failover."
  value       = google_compute_address.egress["spare"].address
}

output "subnet_ids" {
  description = "The subnetworks whose machines leave by these addresses."
  value       = var.subnetworks
}
