package app

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/signalbox/signalbox/internal/config"
)

// NewLogger makes the logger of a configuration, writing to standard error.
func NewLogger(l config.Log) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(l.Level)
	if err != nil {
		return nil, err
	}
	zc := zap.NewProductionConfig()
	zc.Level = zap.NewAtomicLevelAt(level)
	zc.DisableStacktrace = true
	zc.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	if l.Format == "console" {
		zc.Encoding = "console"
		zc.EncoderConfig.EncodeLevel = zapcore.CapitalLevelEncoder
	}
	return zc.Build()
}
