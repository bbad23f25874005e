variable "subscription_id" {
  type        = string
  description = "The id of the subscription."

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a UUID in lower case."
  }
}

variable "resource_group_name" {
  type        = string
  description = "The resource group."
}

variable "subnet_id" {
  type        = string
  description = "The id of the subnet that sallyport runs in, in westeurope."

  validation {
    condition     = can(regex("/subnets/", var.subnet_id))
    error_message = "subnet_id must be a resource id that ends in /subnets/NAME."
  }
}
