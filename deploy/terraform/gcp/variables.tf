variable "name" {
  type        = string
  description = "The beginning of every resource's name."
  default     = "sallyport"
  nullable    = false
}

variable "project" {
  type        = string
  description = "The id of the project."

  validation {
    condition     = can(regex("^[a-z][a-z0-9:.-]*[a-z0-9]$", var.project))
    error_message = "project must be a project's id, in lower case, such as integrations-prod."
  }
}

variable "region" {
  type        = string
  description = "The region of the addresses and the NAT, which all its zones share."

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a region, such as europe-west3, and no zone."
  }
}

variable "network" {
  type        = string
  description = "The VPC network: its id or self link."

  validation {
    condition     = length(var.network) > 0
    error_message = "network must be named."
  }
}

variable "subnetworks" {
  type        = list(string)
  description = "Ids or self links of the subnetworks of the region, all their ranges, whose machines leave by these addresses. No other NAT may serve them, and a machine with an external address of its own leaves by that."
  nullable    = false

  validation {
    condition     = length(var.subnetworks) > 0
    error_message = "There must be a subnetwork, or no call would ever leave by these addresses."
  }
}

variable "nat_addresses" {
  type        = number
  description = "How many addresses calls leave by, the spare aside. With more than one, Google chooses for each machine: they can be proved only as a set."
  default     = 1
  nullable    = false
}

variable "leave_by" {
  type        = string
  description = "What calls leave by: primary, both (while moving) or spare. See the README."
  default     = "primary"
  nullable    = false
}

variable "drain" {
  type        = bool
  description = "Whether addresses that are not left by any more finish their connections. Only right for addresses that the NAT had until now; Google refuses others."
  default     = false
  nullable    = false
}

variable "min_ports_per_vm" {
  type        = number
  description = "Ports that each machine has on an address, which is how many connections it can have to one address and port of Salesforce at once. An address has 64512: 1024 serve 63 machines."
  default     = 1024
  nullable    = false

  validation {
    condition     = contains([64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768], var.min_ports_per_vm)
    error_message = "min_ports_per_vm must be a power of two from 64 to 32768."
  }
}

variable "labels" {
  type        = map(string)
  description = "Labels for the addresses; a router and a NAT take none."
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.labels) <= 64 && alltrue([for k, v in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", k)) && can(regex("^[a-z0-9_-]{0,63}$", v))])
    error_message = "Labels are at most 64; keys and values are lower-case letters, digits, underscores and dashes, at most 63, and a key begins with a letter."
  }
}
