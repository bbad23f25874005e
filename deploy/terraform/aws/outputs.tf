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
  value       = [for key in values(module.zones.gateways) : aws_eip.egress[key].public_ip]
}

output "spare_address" {
  description = "The address that is registered in advance, for a move or a failover."
  value       = aws_eip.egress["spare"].public_ip
}

output "subnet_ids" {
  description = "The private subnets that were made, for sallyport to run in; those of existing route tables are known already."
  value       = [for subnet in values(aws_subnet.private) : subnet.id]
}
