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
  value       = [for key in module.pool.active_keys : azurerm_public_ip.egress[key].ip_address]
}

output "spare_address" {
  description = "The address that is registered in advance, for a move or a failover."
  value       = azurerm_public_ip.egress["spare"].ip_address
}

output "subnet_ids" {
  description = "The subnets whose calls leave by these addresses."
  value       = values(var.subnet_ids)
}
