variable "name" {
  type        = string
  description = "The beginning of every resource's Name tag."
  default     = "sallyport"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", var.name))
    error_message = "The name must be 1 to 64 letters, digits, dots, underscores and dashes."
  }
}

variable "vpc_id" {
  type        = string
  description = "The VPC."

  validation {
    condition     = can(regex("^vpc-", var.vpc_id))
    error_message = "vpc_id must be an id such as vpc-0123456789abcdef0."
  }
}

variable "internet_gateway_id" {
  type        = string
  description = "The VPC's internet gateway; needed where a zone has public_cidr."
  default     = null
}

variable "zones" {
  type = map(object({
    public_subnet_id = optional(string)
    public_cidr      = optional(string)
    private_cidr     = optional(string)
    route_table_ids  = optional(list(string), [])
  }))
  description = "By availability zone: public_subnet_id of an existing public subnet, or public_cidr of one to make, for a NAT gateway; route_table_ids of existing private subnets, or private_cidr of one to make, whose calls are to leave by it. An existing table must have no route to 0.0.0.0/0 yet."
  nullable    = false
}

variable "per_zone" {
  type        = bool
  description = "One NAT gateway with an address of its own for each zone, beside one spare. By default there is one gateway, in nat_zone, for all zones."
  default     = false
  nullable    = false
}

variable "nat_zone" {
  type        = string
  description = "The zone of the one NAT gateway; with per_zone, the zone whose gateway keeps the first address. null is the first in alphabetical order."
  default     = null
}

variable "spare_in" {
  type        = string
  description = "The zone whose NAT gateway is to leave by the spare address; null: none. Setting it is the move: see the README."
  default     = null
}

variable "tags" {
  type        = map(string)
  description = "Tags for every resource, beside Name."
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) < 50 && !contains(keys(var.tags), "Name")
    error_message = "AWS takes 50 tags on a resource, one of which is Name, which follows from name."
  }
}
