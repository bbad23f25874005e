variable "vpc_id" {
  type        = string
  description = "The VPC: 10.0.101.0/28 and 10.0.102.0/24 are free in it."
}

variable "internet_gateway_id" {
  type        = string
  description = "Its internet gateway."
}

variable "public_subnet_id" {
  type        = string
  description = "A public subnet in eu-central-1a."

  validation {
    condition     = can(regex("^subnet-", var.public_subnet_id))
    error_message = "public_subnet_id must be an id such as subnet-0123456789abcdef0."
  }
}

variable "route_table_ids" {
  type        = list(string)
  description = "Route tables of private subnets, without a default route."

  validation {
    condition     = alltrue([for id in var.route_table_ids : can(regex("^rtb-", id))])
    error_message = "Each must be an id such as rtb-0123456789abcdef0."
  }
}
