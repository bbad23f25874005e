variable "name" {
  type        = string
  description = "The beginning of every resource's name."
  default     = "sallyport"
  nullable    = false
}

variable "resource_group_name" {
  type        = string
  description = "The resource group."

  validation {
    condition     = can(regex("^[A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-]$", var.resource_group_name))
    error_message = "resource_group_name must be 1 to 90 letters, digits, underscores, parentheses, dots and dashes, and not end with a dot."
  }
}

variable "location" {
  type        = string
  description = "The region."

  validation {
    condition     = can(regex("^[A-Za-z0-9 ]+$", var.location))
    error_message = "location must be a region, such as westeurope."
  }
}

variable "zone" {
  type        = string
  description = "The availability zone of gateway and addresses; null leaves it to Azure, and is needed where a region has none. It can't be changed later: the addresses are bound to it."
  default     = null

  validation {
    condition     = var.zone == null ? true : contains(["1", "2", "3"], var.zone)
    error_message = "zone must be 1, 2 or 3."
  }
}

variable "subnet_ids" {
  type        = map(string)
  description = "Ids of the subnets whose calls leave by these addresses, under keys of your own, which must be known before the subnets exist. A machine with a public address of its own leaves by the gateway all the same."
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "There must be a subnet, or no call would ever leave by these addresses."
  }
}

variable "prefix_length" {
  type        = number
  description = "The length of the public IP prefix that the addresses come from, which is registered as one range: 31 has room for one address and the spare. It can't be changed later."
  default     = 31
  nullable    = false
}

variable "nat_addresses" {
  type        = number
  description = "How many addresses of the prefix calls leave by, the spare aside. With more than one, Azure chooses for each connection: they can be proved only as a set."
  default     = 1
  nullable    = false
}

variable "leave_by" {
  type        = string
  description = "What calls leave by: primary, both (while moving) or spare. See the README."
  default     = "primary"
  nullable    = false
}

variable "idle_timeout_in_minutes" {
  type        = number
  description = "When the gateway forgets a connection on which nothing is sent. Azure's own 4 minutes are shorter than the 270 seconds within which Pub/Sub sends a keepalive."
  default     = 10
  nullable    = false

  validation {
    condition     = var.idle_timeout_in_minutes >= 5 && var.idle_timeout_in_minutes <= 120
    error_message = "idle_timeout_in_minutes must be 5 to 120: below 5, silent Pub/Sub streams are cut."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags for every resource."
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) <= 50
    error_message = "Azure takes 50 tags on a resource."
  }
}
