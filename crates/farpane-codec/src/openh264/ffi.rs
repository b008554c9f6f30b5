//! OpenH264 through its C++ vtable: the only unsafe code of this crate.
//!
//! [`Library`] owns one encoder instance. Everything it hands to the library lives on the stack of the call or in
//! planes borrowed for the call, and everything the library hands back is copied out before the call returns.

use std::ops::Range;
use std::ptr::{NonNull, null_mut};

use openh264_sys2::source::APILoader;
use openh264_sys2::{
    API, CM_BT709, CONSTANT_ID, CP_BT709, ELevelIdc, ENCODER_LTR_MARKING_FEEDBACK,
    ENCODER_LTR_MARKING_PERIOD, ENCODER_LTR_RECOVERY_REQUEST, ENCODER_OPTION,
    ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, ENCODER_OPTION_TRACE_LEVEL, EUsageType, ISVCEncoder,
    ISVCEncoderVtbl, LOW_COMPLEXITY, LTR_MARKING_FAILED, LTR_MARKING_SUCCESS, LTR_RECOVERY_REQUEST,
    PRO_BASELINE, RC_OFF_MODE, SEncParamExt, SFrameBSInfo, SLTRMarkingFeedback, SLTRRecoverRequest,
    SM_FIXEDSLCNUM_SLICE, SM_SINGLE_SLICE, SSourcePicture, TRC_BT709, VF_UNDEF, WELS_LOG_QUIET,
    videoFormatI420, videoFrameTypeIDR, videoFrameTypeSkip,
};

/// A call into the library that reported an error: its name and what it returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub call: &'static str,
    pub code: i64,
}

fn check(call: &'static str, code: impl Into<i64>) -> Result<(), Failure> {
    match code.into() {
        0 => Ok(()),
        code => Err(Failure { call, code }),
    }
}

/// Long-term pictures in camera mode.
const LONG_TERM: i32 = 2;
/// After so many pictures one becomes a long-term picture: none, or the next one.
const NEVER: u32 = u32::MAX;
const NEXT: u32 = 0;

/// What an instance is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub width: u32,
    pub height: u32,
    pub max_fps: u32,
    pub threads: u32,
    pub level: ELevelIdc,
    pub usage: EUsageType,
    /// Whether pictures may become long-term pictures.
    pub keeps: bool,
}

/// Three 8-bit planes, chroma at half size both ways, each with its stride.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub planes: [(&'a [u8], usize); 3],
    /// Milliseconds.
    pub timestamp: i64,
}

/// Where one access unit is put.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub data: Vec<u8>,
    /// NAL units in `data`, start codes left out.
    pub nals: Vec<Range<usize>>,
    pub key_frame: bool,
}

/// An encoder instance of the library.
pub(super) struct Library {
    encoder: NonNull<ISVCEncoder>,
    params: Box<SEncParamExt>,
    info: Box<SFrameBSInfo>,
}

// SAFETY: an instance has no thread affinity (its worker threads are its own and are joined when it is destroyed), and
// every call that touches it takes `&mut self`.
unsafe impl Send for Library {}

impl Library {
    pub(super) fn new(setup: &Setup) -> Result<Library, Failure> {
        let mut raw: *mut ISVCEncoder = null_mut();
        // SAFETY: `raw` is a valid place for the library to write the new instance to.
        check("WelsCreateSVCEncoder", unsafe {
            APILoader::new().WelsCreateSVCEncoder(&raw mut raw)
        })?;
        let encoder = NonNull::new(raw).ok_or(Failure { call: "WelsCreateSVCEncoder", code: 0 })?;
        let mut library = Library { encoder, params: Box::default(), info: Box::default() };
        // Before anything else, since the library warns on stderr about its own defaults.
        let mut quiet = WELS_LOG_QUIET;
        library.set(ENCODER_OPTION_TRACE_LEVEL, &mut quiet)?;
        library.initialize(setup)?;
        Ok(library)
    }

    fn table(&self) -> &ISVCEncoderVtbl {
        // SAFETY: `encoder` is the live instance made in `new`, a C++ object whose first word points to its vtable,
        // which is static.
        unsafe { &**self.encoder.as_ptr() }
    }

    fn initialize(&mut self, setup: &Setup) -> Result<(), Failure> {
        let defaults = self.table().GetDefaultParams.expect("the vtable is complete");
        // SAFETY: the instance is live and `params` is writable.
        check("GetDefaultParams", unsafe {
            defaults(self.encoder.as_ptr(), &raw mut *self.params)
        })?;
        let params = &mut *self.params;
        params.iUsageType = setup.usage;
        params.iPicWidth = setup.width as i32;
        params.iPicHeight = setup.height as i32;
        params.fMaxFrameRate = setup.max_fps as f32;
        // Our own rate control sets the quantizer of each picture.
        params.iRCMode = RC_OFF_MODE;
        params.iTemporalLayerNum = 1;
        params.iSpatialLayerNum = 1;
        params.iComplexityMode = LOW_COMPLEXITY;
        params.uiIntraPeriod = 0;
        params.iNumRefFrame = if setup.keeps { 1 + LONG_TERM } else { 1 };
        params.eSpsPpsIdStrategy = CONSTANT_ID;
        params.iEntropyCodingModeFlag = 0;
        params.iLoopFilterDisableIdc = 1;
        params.bEnableFrameSkip = false;
        params.bEnableLongTermReference = setup.keeps;
        params.iLTRRefNum = if setup.keeps { LONG_TERM } else { 0 };
        params.iLtrMarkPeriod = NEVER;
        params.bEnableDenoise = false;
        params.bEnableBackgroundDetection = false;
        params.bEnableAdaptiveQuant = false;
        params.bEnableSceneChangeDetect = false;
        // Moving the cut between slices to where the last picture's work was costs more than it gains: its work is
        // elsewhere next time (typing 3.9 ms a picture with it, 3.2 ms without; film in a page 7.8 and 6.6 ms).
        params.bUseLoadBalancing = false;
        params.iMultipleThreadIdc = setup.threads as u16;

        let layer = &mut params.sSpatialLayers[0];
        layer.iVideoWidth = params.iPicWidth;
        layer.iVideoHeight = params.iPicHeight;
        layer.fFrameRate = params.fMaxFrameRate;
        layer.uiProfileIdc = PRO_BASELINE;
        layer.uiLevelIdc = setup.level;
        layer.sSliceArgument.uiSliceMode =
            if setup.threads > 1 { SM_FIXEDSLCNUM_SLICE } else { SM_SINGLE_SLICE };
        layer.sSliceArgument.uiSliceNum = setup.threads;
        layer.bVideoSignalTypePresent = true;
        layer.uiVideoFormat = VF_UNDEF as u8;
        layer.bFullRange = false;
        layer.bColorDescriptionPresent = true;
        layer.uiColorPrimaries = CP_BT709 as u8;
        layer.uiTransferCharacteristics = TRC_BT709 as u8;
        layer.uiColorMatrix = CM_BT709 as u8;

        let initialize = self.table().InitializeExt.expect("the vtable is complete");
        // SAFETY: the instance is live and `params` is fully initialised, by `GetDefaultParams` and the lines above.
        check("InitializeExt", unsafe {
            initialize(self.encoder.as_ptr(), &raw const *self.params)
        })
    }

    /// `value` must be of the type that the library documents for `option`.
    fn set<T>(&mut self, option: ENCODER_OPTION, value: &mut T) -> Result<(), Failure> {
        let set = self.table().SetOption.expect("the vtable is complete");
        // SAFETY: the instance is live, and all callers pass the type that the option is read as: an `int` for the
        // trace level, an `SEncParamExt` for the parameters, an `unsigned int` for the marking period, and for word of
        // the viewer the structure of the same name.
        check("SetOption", unsafe { set(self.encoder.as_ptr(), option, (&raw mut *value).cast()) })
    }

    /// Sets the quantizer of the pictures to come. The library takes this as a small change and keeps its references.
    pub(super) fn set_quantizer(&mut self, quantizer: u8) -> Result<(), Failure> {
        if self.params.sSpatialLayers[0].iDLayerQp != i32::from(quantizer) {
            self.params.sSpatialLayers[0].iDLayerQp = i32::from(quantizer);
            let mut params = *self.params;
            self.set(ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, &mut params)?;
        }
        Ok(())
    }

    /// Lets the next picture, or the one before it by its word, become a long-term picture, or no picture to come.
    ///
    /// The library does it when it has heard of the last one, and not with a picture that goes back.
    pub(super) fn set_marking(&mut self, marking: bool) -> Result<(), Failure> {
        let mut period = if marking { NEXT } else { NEVER };
        if self.params.iLtrMarkPeriod != period {
            // The parameters say it again each time.
            self.params.iLtrMarkPeriod = period;
            self.set(ENCODER_LTR_MARKING_PERIOD, &mut period)?;
        }
        Ok(())
    }

    /// Says whether the viewer has got long-term picture `number` since key frame `key_frame`. It counts after the next
    /// picture, and then the library forgets the long-term picture before it, or this one.
    pub(super) fn hear(&mut self, key_frame: u32, number: u32, got: bool) -> Result<(), Failure> {
        let word = if got { LTR_MARKING_SUCCESS } else { LTR_MARKING_FAILED };
        let mut feedback = SLTRMarkingFeedback {
            uiFeedbackType: word as u32,
            uiIDRPicId: key_frame,
            iLTRFrameNum: number as i32,
            iLayerId: 0,
        };
        self.set(ENCODER_LTR_MARKING_FEEDBACK, &mut feedback)
    }

    /// Has the next picture refer to the long-term picture that the viewer has got: it lacks some of those after picture
    /// `right` up to `last`. A long-term picture that was made so in between is forgotten.
    pub(super) fn go_back(&mut self, key_frame: u32, right: u32, last: u32) -> Result<(), Failure> {
        let mut request = SLTRRecoverRequest {
            uiFeedbackType: LTR_RECOVERY_REQUEST as u32,
            uiIDRPicId: key_frame,
            iLastCorrectFrameNum: right as i32,
            iCurrentFrameNum: last as i32,
            iLayerId: 0,
        };
        self.set(ENCODER_LTR_RECOVERY_REQUEST, &mut request)
    }

    /// Makes the next picture an IDR picture.
    pub(super) fn force_key_frame(&mut self) -> Result<(), Failure> {
        let force = self.table().ForceIntraFrame.expect("the vtable is complete");
        // SAFETY: the instance is live and initialised.
        check("ForceIntraFrame", unsafe { force(self.encoder.as_ptr(), true) })
    }

    /// Codes one picture into `unit`, whose former contents are dropped; no data means that the library skipped it.
    pub(super) fn encode(&mut self, source: &Source<'_>, unit: &mut Unit) -> Result<(), Failure> {
        let (width, height) = (self.params.iPicWidth as usize, self.params.iPicHeight as usize);
        let mut picture = SSourcePicture {
            iColorFormat: videoFormatI420,
            iPicWidth: width as i32,
            iPicHeight: height as i32,
            uiTimeStamp: source.timestamp,
            ..SSourcePicture::default()
        };
        for (at, (plane, stride)) in source.planes.iter().enumerate() {
            let (width, height) = if at == 0 { (width, height) } else { (width / 2, height / 2) };
            assert!(*stride >= width && plane.len() >= stride * height, "plane {at} is too small");
            picture.iStride[at] = *stride as i32;
            picture.pData[at] = plane.as_ptr().cast_mut();
        }
        let encode = self.table().EncodeFrame.expect("the vtable is complete");
        // SAFETY: the instance is live and initialised. The planes were just checked to hold the picture, and the
        // library only reads them, during the call. `info` is writable.
        check("EncodeFrame", unsafe {
            encode(self.encoder.as_ptr(), &raw const picture, &raw mut *self.info)
        })?;
        self.copy_out(unit);
        Ok(())
    }

    fn copy_out(&self, unit: &mut Unit) {
        unit.data.clear();
        unit.nals.clear();
        unit.key_frame = self.info.eFrameType == videoFrameTypeIDR;
        if self.info.eFrameType == videoFrameTypeSkip {
            return;
        }
        for layer in &self.info.sLayerInfo[..self.info.iLayerNum as usize] {
            // SAFETY: after a successful call each of the first `iLayerNum` layers points to `iNalCount` lengths, which
            // stay valid until the next call on the instance.
            let lengths = unsafe {
                std::slice::from_raw_parts(layer.pNalLengthInByte, layer.iNalCount as usize)
            };
            let total = lengths.iter().map(|length| *length as usize).sum();
            // SAFETY: and to a buffer of as many bytes as the lengths add up to, valid for as long.
            let bytes = unsafe { std::slice::from_raw_parts(layer.pBsBuf, total) };
            let mut start = unit.data.len();
            unit.data.extend_from_slice(bytes);
            for length in lengths {
                let end = start + *length as usize;
                unit.nals.push(start + start_code(&unit.data[start..end])..end);
                start = end;
            }
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Some(uninitialize) = self.table().Uninitialize {
            // SAFETY: the instance is live; the call does nothing on one that is not initialised.
            unsafe { uninitialize(self.encoder.as_ptr()) };
        }
        // SAFETY: the instance was made by `WelsCreateSVCEncoder` and is not used again.
        unsafe { APILoader::new().WelsDestroySVCEncoder(self.encoder.as_ptr()) };
    }
}

/// The length of the start code that a NAL unit opens with (Annex B: zeros, then a one).
fn start_code(nal: &[u8]) -> usize {
    nal.iter().position(|byte| *byte != 0).map_or(0, |zeros| zeros + 1)
}
