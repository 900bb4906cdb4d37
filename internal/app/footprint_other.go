//go:build !linux

package app

func dropStartCode() {}
