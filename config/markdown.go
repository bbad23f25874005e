package config

import (
	"reflect"
	"strings"
)

// Variables returns the names of all variables of `serve`, in the order of the table.
func Variables() []string {
	var names []string
	for field := range reflect.TypeFor[Config]().Fields() {
		names = append(names, field.Tag.Get("env"))
	}
	return names
}

// Markdown returns the table of all variables with their defaults and meanings, made from the tags of [Config]. It
// ends with a line break.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for field := range reflect.TypeFor[Config]().Fields() {
		def := field.Tag.Get("show")
		if def == "" && field.Tag.Get("envDefault") != "" {
			def = "'" + field.Tag.Get("envDefault") + "'"
		}
		row(&b, "'"+field.Tag.Get("env")+"'", def, field.Tag.Get("doc"))
	}
	row(&b, "'OTEL_*'", "no exporter unless one is configured", "as OpenTelemetry defines; '/metrics' is always there")
	return b.String()
}

// row writes one row. In tags, which stand in back quotes, code is quoted by a pair of single quotes; an apostrophe
// stands between two letters.
func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString("| " + strings.ReplaceAll(codeQuotes(c), "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

func codeQuotes(s string) string {
	out := []byte(s)
	for i, c := range out {
		if c == '\'' && !(i > 0 && letter(s[i-1]) && i+1 < len(s) && letter(s[i+1])) {
			out[i] = '`'
		}
	}
	return string(out)
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
