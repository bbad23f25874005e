variable "zones" {
  type = map(object({
    public_subnet_id = optional(string)
    public_cidr      = optional(string)
    private_cidr     = optional(string)
    route_table_ids  = optional(list(string), [])
  }))
  description = "By availability zone: public_subnet_id of an existing public subnet, or public_cidr of one to make, for a NAT gateway; route_table_ids of existing private subnets, or private_cidr of one to make, whose calls are to leave by it."
  nullable    = false

  validation {
    condition     = length(var.zones) > 0 && alltrue([for z, _ in var.zones : can(regex("^[a-z]{2}-[a-z0-9-]+[0-9][a-z]$", z))])
    error_message = "There must be a zone, and each key must be the name of one, such as eu-central-1a."
  }

  validation {
    condition     = alltrue([for z in values(var.zones) : z.public_cidr == null || z.public_subnet_id == null])
    error_message = "A zone has either public_subnet_id or public_cidr, not both."
  }

  validation {
    condition = alltrue(flatten([for z in values(var.zones) : [for c in [z.public_cidr, z.private_cidr] :
      c == null ? true : can(regex("/(1[6-9]|2[0-8])$", c)) && try(cidrhost(c, 0) == split("/", c)[0], false) && !strcontains(c, ":")
    ]]))
    error_message = "A subnet to make must be an IPv4 CIDR from /16 to /28 with no bits behind its mask."
  }

  validation {
    condition     = anytrue([for z in values(var.zones) : z.private_cidr != null || length(z.route_table_ids) > 0])
    error_message = "Some zone must have route_table_ids or private_cidr, or no call would ever leave by these addresses."
  }
}

variable "per_zone" {
  type        = bool
  description = "Whether each zone gets a NAT gateway and an address of its own."
  default     = false
  nullable    = false

  validation {
    condition = alltrue([for z in(var.per_zone ? values(var.zones) : []) :
      z.public_cidr == null ? z.public_subnet_id != null : true
    ])
    error_message = "With per_zone each zone needs public_subnet_id or public_cidr for its NAT gateway."
  }
}

variable "nat_zone" {
  type        = string
  description = "The zone of the one NAT gateway, and with per_zone the zone whose gateway keeps the first address; null is the first in alphabetical order."
  default     = null

  validation {
    condition     = var.nat_zone == null ? true : contains(keys(var.zones), var.nat_zone)
    error_message = "nat_zone must be one of zones."
  }

  validation {
    condition = alltrue([for z in [var.nat_zone == null ? sort(keys(var.zones))[0] : var.nat_zone] :
      try(var.zones[z].public_cidr == null ? var.zones[z].public_subnet_id != null : true, true)
    ])
    error_message = "The zone of the NAT gateway needs public_subnet_id or public_cidr."
  }
}

variable "spare_in" {
  type        = string
  description = "The zone whose NAT gateway leaves by the spare address; null: none."
  default     = null

  validation {
    condition = var.spare_in == null ? true : contains(
      var.per_zone ? keys(var.zones) : [var.nat_zone == null ? sort(keys(var.zones))[0] : var.nat_zone],
      var.spare_in
    )
    error_message = "spare_in must be a zone with a NAT gateway."
  }
}

variable "internet_gateway_id" {
  type        = string
  description = "The VPC's internet gateway, for the route of public subnets that are made; null where none is made."
  default     = null

  validation {
    condition     = var.internet_gateway_id == null ? alltrue([for z in values(var.zones) : z.public_cidr == null]) : can(regex("^igw-", var.internet_gateway_id))
    error_message = "internet_gateway_id must be an id such as igw-0123456789abcdef0, and is needed where public_cidr is given."
  }
}
