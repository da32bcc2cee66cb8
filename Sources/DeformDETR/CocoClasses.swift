// COCO's category names. Source: "Microsoft COCO: Common Objects in Context", annotations/instances_val2017.json, whose ids have gaps.

/// The categories of COCO by id, as every detector with 91 logit columns numbers them.
public enum CocoClasses {
    /// 91 entries; nil for 0 and for ids that no category has.
    public static let names: [String?] = [
        nil, "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
        "fire hydrant", nil, "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
        "elephant", "bear", "zebra", "giraffe", nil, "backpack", "umbrella", nil, nil, "handbag", "tie", "suitcase",
        "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard",
        "surfboard", "tennis racket", "bottle", nil, "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana",
        "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
        "potted plant", "bed", nil, "dining table", nil, nil, "toilet", nil, "tv", "laptop", "mouse", "remote",
        "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", nil, "book", "clock", "vase",
        "scissors", "teddy bear", "hair drier", "toothbrush",
    ]
}
