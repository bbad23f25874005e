output "sallyport_egress_allowed" {
  description = "For SALLYPORT_EGRESS_ALLOWED."
  value       = module.egress.sallyport_egress_allowed
}

output "salesforce_ip_ranges" {
  description = "For the refresh token IP allowlist in Salesforce's Setup."
  value       = module.egress.salesforce_ip_ranges
}

output "addresses" {
  description = "What calls leave by now."
  value       = module.egress.addresses
}

output "spare_address" {
  description = "What they would leave by after a move."
  value       = module.egress.spare_address
}
