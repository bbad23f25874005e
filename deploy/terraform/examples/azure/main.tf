# One address and the spare, from a /31 in zone 1, for one subnet.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
  }
}

provider "azurerm" {
  subscription_id = var.subscription_id

  features {}
}

module "egress" {
  source = "../../azure"

  resource_group_name = var.resource_group_name
  location            = "westeurope"
  zone                = "1"
  subnet_ids          = { sallyport = var.subnet_id }
  tags                = { service = "sallyport" }
}
