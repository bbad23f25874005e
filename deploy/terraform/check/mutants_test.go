package check_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sallyport/sallyport/deploy/terraform/check"
)

// mutant is a change to one file of the modules that must break one rule: old
// becomes new, and with no old, new is added at the end.
type mutant struct {
	name, rule, file, old, new string
}

func mutants() []mutant {
	const (
		kept       = "an address can't be destroyed by accident"
		registered = "every address is registered"
		ingress    = "nobody is let in from everywhere"
		documented = "a variable says what it takes"
		validated  = "a variable refuses what it can't take"
		output     = "an output says what it is"
		same       = "the clouds have the same outputs"
		one        = "by default one gateway has one address, and a spare"
		provider   = "a module configures no provider"
		pinned     = "versions have an upper bound"
		free       = "logic needs no provider"
		example    = "each cloud has an example"
	)
	return []mutant{
		{"an EIP may be destroyed", kept, "aws/main.tf", "prevent_destroy = true", "prevent_destroy = false"},
		{"an address of Google may be destroyed", kept, "gcp/main.tf", "prevent_destroy = true", "create_before_destroy = true"},
		{"a prefix of Azure may be destroyed", kept, "azure/main.tf", "prevent_destroy = true", ""},
		{"an EIP without a lifecycle in an example", kept, "examples/aws/main.tf", "", `resource "aws_eip" "more" { domain = "vpc" }`},

		{"EIPs are not in the ranges", registered, "aws/main.tf", "aws_eip.egress[k].public_ip]", "k]"},
		{"a prefix is not in the ranges", registered, "azure/main.tf", "[azurerm_public_ip_prefix.egress.ip_prefix]", "[]"},
		{"a second address is not in the ranges", registered, "gcp/main.tf", "", `resource "google_compute_address" "more" { lifecycle { prevent_destroy = true } }`},

		{"a security group lets all in", ingress, "aws/subnets.tf", "", `resource "aws_security_group" "x" { ingress { cidr_blocks = ["10.0.0.0/8", "0.0.0.0/0"] } }`},
		{"a security group's rule lets all in", ingress, "aws/subnets.tf", "", `resource "aws_security_group_rule" "x" { type = "ingress"; cidr_blocks = ["0.0.0.0/0"] }`},
		{"an ingress rule lets all of IPv6 in", ingress, "aws/subnets.tf", "", `resource "aws_vpc_security_group_ingress_rule" "x" { cidr_ipv6 = "::/0" }`},
		{"a firewall without a direction lets all in", ingress, "gcp/main.tf", "", `resource "google_compute_firewall" "x" { source_ranges = ["0.0.0.0/0"] }`},
		{"a security rule lets the Internet in", ingress, "azure/main.tf", "", `resource "azurerm_network_security_rule" "x" { direction = "Inbound"; access = "Allow"; source_address_prefix = "Internet" }`},
		{"a security group's inner rule lets all in", ingress, "azure/main.tf", "", `resource "azurerm_network_security_group" "x" { security_rule { direction = "Inbound"; access = "Allow"; source_address_prefix = "*" } }`},

		{"a variable without a type", documented, "aws/variables.tf", "  type        = bool\n", ""},
		{"a variable of any type", documented, "gcp/variables.tf", "type        = bool", "type        = any"},
		{"a variable without a description", documented, "azure/variables.tf", `description = "The resource group."`, ""},

		{"a variable takes anything", validated, "gcp/variables.tf", "", `variable "x" { type = string; description = "x" }`},
		{"nobody validates what is handed on", validated, "aws/main.tf", "spare_in            = var.spare_in", `spare_in = "${var.spare_in}x"`},
		{"the module that gets it validates nothing", validated, "modules/pool/variables.tf", "validation {\n    condition     = contains([\"primary\"", "unchecked {\n    condition     = contains([\"primary\""},

		{"an output without a description", output, "gcp/outputs.tf", `description = "The addresses that calls leave by now."`, ""},
		{"an output is missing", same, "azure/outputs.tf", `output "spare_address"`, `output "spare"`},
		{"an output too many", same, "aws/outputs.tf", "", `output "more" { value = 1 }`},

		{"one gateway for each zone by default", one, "aws/variables.tf", "default     = false", "default     = true"},
		{"the logic's default is another", one, "modules/zones/variables.tf", "default     = false", "default     = true"},
		{"two addresses by default", one, "gcp/variables.tf", "default     = 1\n", "default     = 2\n"},
		{"the spare by default", one, "azure/variables.tf", `default     = "primary"`, `default     = "both"`},
		{"a gateway with secondary addresses", one, "aws/main.tf", `connectivity_type = "public"`, "connectivity_type = \"public\"\n  secondary_allocation_ids = []"},
		{"a regional gateway", one, "aws/main.tf", `connectivity_type = "public"`, "connectivity_type = \"public\"\n  availability_zone_address {}"},
		{"a private gateway", one, "aws/main.tf", `connectivity_type = "public"`, `connectivity_type = "private"`},
		{"Google picks addresses", one, "gcp/main.tf", `"MANUAL_ONLY"`, `"AUTO_ONLY"`},
		{"every subnetwork is served", one, "gcp/main.tf", `"LIST_OF_SUBNETWORKS"`, `"ALL_SUBNETWORKS_ALL_IP_RANGES"`},
		{"a whole prefix on the gateway", one, "azure/main.tf", "", `resource "azurerm_nat_gateway_public_ip_prefix_association" "x" {}`},
		{"a second gateway", one, "azure/main.tf", "", `resource "azurerm_nat_gateway" "x" {}`},
		{"the spare is no spare", one, "aws/outputs.tf", `aws_eip.egress["spare"]`, `aws_eip.egress["first"]`},

		{"a provider in a module", provider, "aws/main.tf", "", `provider "aws" {}`},
		{"a provider without an upper bound", pinned, "gcp/versions.tf", ">= 6.50.0, < 8.0.0", ">= 6.50.0"},
		{"a provider without a version", pinned, "aws/versions.tf", `version = "~> 6.25"`, ""},
		{"a provider without a source", pinned, "azure/versions.tf", `source  = "hashicorp/azurerm"`, ""},
		{"a provider that isn't required", pinned, "azure/main.tf", "", `resource "random_id" "x" {}`},
		{"no version of Terraform", pinned, "modules/pool/versions.tf", `required_version = ">= 1.9.0"`, ""},
		{"a resource among the logic", free, "modules/ranges/main.tf", "", `resource "terraform_data" "x" {}`},
		{"a provider among the logic", free, "modules/ranges/versions.tf", `required_version = ">= 1.9.0"`, "required_version = \">= 1.9.0\"\n  required_providers {}"},
		{"an example of something else", example, "examples/gcp/main.tf", `"../../gcp"`, `"../../aws"`},
		{"an example without a provider", example, "examples/azure/main.tf", `provider "azurerm"`, `data "azurerm_x" `},
	}
}

// A rule that never fires looks like a rule that is kept.
func TestABrokenModuleIsSeen(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants() {
		seen[m.rule] = true
		t.Run(m.name, func(t *testing.T) {
			tree, err := check.Load(mutated(t, m))
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(check.Rules(), func(r check.Rule) bool { return r.Name == m.rule })
			if i < 0 {
				t.Fatalf("there is no rule %q", m.rule)
			}
			if found := check.Rules()[i].Check(tree); len(found) == 0 {
				t.Error("nothing was found")
			}
		})
	}
	for _, r := range check.Rules() {
		if !seen[r.Name] {
			t.Errorf("no mutant breaks the rule %q", r.Name)
		}
	}
}

// mutated is the modules with m's change in them.
func mutated(t *testing.T, m mutant) fs.FS {
	t.Helper()
	out := fstest.MapFS{}
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".tf") {
			return err
		}
		src, err := fs.ReadFile(root, name)
		out[name] = &fstest.MapFile{Data: src}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	file := out[m.file]
	if file == nil {
		t.Fatalf("there is no %s", m.file)
	}
	src := string(file.Data)
	if m.old == "" {
		file.Data = []byte(src + "\n" + lines(m.new) + "\n")
		return out
	}
	if !strings.Contains(src, m.old) {
		t.Fatalf("%s has no %q", m.file, m.old)
	}
	file.Data = []byte(strings.ReplaceAll(src, m.old, m.new))
	return out
}

// lines breaks a snippet into lines, as HCL wants it: a semicolon separates them.
func lines(snippet string) string {
	return strings.NewReplacer("{ ", "{\n", " }", "\n}", "; ", "\n").Replace(snippet)
}

func TestWhatIsNoIngressIsLeftAlone(t *testing.T) {
	for _, src := range []string{
		`resource "aws_route" "x" { destination_cidr_block = "0.0.0.0/0" }`,
		`resource "aws_security_group" "x" { egress { cidr_blocks = ["0.0.0.0/0"] } }`,
		`resource "aws_security_group_rule" "x" { type = "egress"; cidr_blocks = ["0.0.0.0/0"] }`,
		`resource "aws_vpc_security_group_ingress_rule" "x" { cidr_ipv4 = "10.0.0.0/8" }`,
		`resource "google_compute_firewall" "x" { direction = "EGRESS"; source_ranges = ["0.0.0.0/0"] }`,
		`resource "google_compute_firewall" "x" { deny {}; source_ranges = ["0.0.0.0/0"] }`,
		`resource "azurerm_network_security_rule" "x" { access = "Deny"; source_address_prefix = "*" }`,
	} {
		tree, err := check.Load(fstest.MapFS{"aws/main.tf": {Data: []byte(lines(src))}})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(check.Rules(), func(r check.Rule) bool { return strings.HasPrefix(r.Name, "nobody") })
		for _, v := range check.Rules()[i].Check(tree) {
			t.Errorf("%s: %s", src, v)
		}
	}
}

func TestWhatIsNoHCLIsAFault(t *testing.T) {
	if _, err := check.Load(fstest.MapFS{"aws/main.tf": {Data: []byte(`resource "x" {`)}}); err == nil {
		t.Error("a file that is cut short was read")
	}
}
